//! How far it is, for whoever sits at a terminal.

use std::cell::RefCell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::kind::Kind;

#[derive(Default)]
pub struct Progress {
    job: RefCell<String>,
}

impl Progress {
    /// What follows is of this job.
    pub fn job(&self, job_id: &str) {
        *self.job.borrow_mut() = job_id.to_owned();
    }

    /// A bar for one kind of the job's results. It isn't drawn where stderr is no terminal.
    pub fn of(&self, kind: Kind, total: Option<u64>) -> ProgressBar {
        let template = match total {
            Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
            None => "{msg} {spinner} {human_pos}",
        };
        let style = ProgressStyle::with_template(template);
        ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_message(format!("{} {}", self.job.borrow(), kind.plural()))
    }
}
