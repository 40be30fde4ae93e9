//! Calendars: events in time that are no news, and the jobs that they are for.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use tidewatch_model::config::MAX_SHIFT;
use tidewatch_model::rules::Event;
use tidewatch_store::{CalendarRow, EventRow};
use uuid::Uuid;

use crate::config::{Job, is_valid_id};
use crate::error::{JobError, Result};
use crate::expression::pick;
use crate::filters::check_same_id;
use crate::live::json;
use crate::manager::Jobs;

/// Events that one calendar may have: every open job of it holds them.
const MAX_EVENTS: usize = 10_000;
/// Stands for every job among a calendar's jobs.
const ALL: &str = "_all";

/// A calendar, in its wire form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Calendar {
    pub calendar_id: String,
    /// Ids of jobs, names of groups, or `_all`. They need not exist.
    pub job_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The body of a request to create a calendar.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewCalendar {
    pub calendar_id: Option<String>,
    pub job_ids: Vec<String>,
    pub description: Option<String>,
}

/// An event, stored and served in this form. Times are epoch milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledEvent {
    pub description: String,
    pub start_time: i64,
    pub end_time: i64,
    pub skip_result: bool,
    pub skip_model_update: bool,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_time_shift: Option<i64>,
    pub calendar_id: String,
    pub event_id: String,
}

/// An event that is to be added to a calendar.
#[derive(Debug, Clone, Default)]
pub struct NewEvent {
    pub calendar_id: Option<String>,
    pub description: Option<String>,
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    pub skip_result: Option<bool>,
    pub skip_model_update: Option<bool>,
    pub force_time_shift: Option<i64>,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Those that end after it, epoch milliseconds.
    pub start: Option<i64>,
    /// Those that begin before it.
    pub end: Option<i64>,
    /// Those that are for a job, or for a group of jobs.
    pub job_id: Option<String>,
}

impl Calendar {
    fn from_row(row: CalendarRow) -> Self {
        Self {
            calendar_id: row.calendar_id,
            job_ids: row.job_ids,
            description: row.description,
        }
    }

    /// Whether the calendar is for what has any of these names.
    fn names_any(&self, names: &[String]) -> bool {
        self.job_ids
            .iter()
            .any(|id| id == ALL || names.contains(id))
    }

    fn is_for(&self, job: &Job) -> bool {
        self.names_any(&names_of(job))
    }
}

/// The names under which calendars know a job: its own and its groups'.
fn names_of(job: &Job) -> Vec<String> {
    let own = std::iter::once(&job.job_id);
    own.chain(&job.groups).cloned().collect()
}

impl ScheduledEvent {
    fn new(calendar_id: &str, new: NewEvent) -> Result<Self> {
        if let Some(other) = new.calendar_id.filter(|other| other != calendar_id) {
            return Err(JobError::bad_request(format!(
                "Inconsistent calendar_id; '{other}' specified in the body differs from '{calendar_id}' specified as \
                 a URL argument"
            )));
        }
        let null = |field: &str| JobError::bad_request(format!("Field [{field}] cannot be null"));
        let description = new.description.ok_or_else(|| null("description"))?;
        let start_time = new.start_time.ok_or_else(|| null("start_time"))?;
        let end_time = new.end_time.ok_or_else(|| null("end_time"))?;
        if start_time >= end_time {
            return Err(JobError::bad_request(format!(
                "Event start time [{}] must come before end time [{}]",
                instant(start_time),
                instant(end_time)
            )));
        }
        if let Some(shift) = new
            .force_time_shift
            .filter(|shift| shift.unsigned_abs() > MAX_SHIFT)
        {
            return Err(JobError::bad_request(format!(
                "Event force_time_shift [{shift}] is more than [{MAX_SHIFT}] seconds"
            )));
        }
        Ok(Self {
            description,
            start_time,
            end_time,
            skip_result: new.skip_result.unwrap_or(true),
            skip_model_update: new.skip_model_update.unwrap_or(true),
            force_time_shift: new.force_time_shift,
            calendar_id: calendar_id.to_owned(),
            event_id: Uuid::new_v4().simple().to_string(),
        })
    }

    fn from_row(row: &EventRow) -> Result<Self> {
        serde_json::from_str(&row.doc).map_err(|error| {
            JobError::internal(format!("event [{}] can't be read: {error}", row.event_id))
        })
    }

    fn row(&self) -> EventRow {
        EventRow {
            event_id: self.event_id.clone(),
            calendar_id: self.calendar_id.clone(),
            start_time: self.start_time,
            end_time: self.end_time,
            doc: json(self),
        }
    }

    /// The event on the grid of buckets of `span` seconds.
    fn on_grid(self, span: i64) -> Event {
        let (start, end) = Event::grid(self.start_time, self.end_time, span);
        Event {
            description: self.description,
            start,
            end,
            skip_result: self.skip_result,
            skip_update: self.skip_model_update,
            force_time_shift: self.force_time_shift,
        }
    }
}

fn instant(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).map_or(millis.to_string(), |time| {
        time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    })
}

impl Jobs {
    pub async fn create_calendar(&self, calendar_id: &str, body: NewCalendar) -> Result<Calendar> {
        check_same_id("calendar_id", body.calendar_id.as_deref(), calendar_id)?;
        if calendar_id == ALL {
            return Err(JobError::invalid_request(&[
                "Cannot create a Calendar with the reserved name [_all]",
            ]));
        }
        if !is_valid_id(calendar_id) {
            return Err(JobError::invalid_request(&[&format!(
                "Invalid calendar_id; '{calendar_id}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or \
                 underscores; must start and end with alphanumeric"
            )]));
        }
        let mut row = CalendarRow {
            calendar_id: calendar_id.to_owned(),
            description: body.description,
            job_ids: Vec::new(),
        };
        for id in body.job_ids {
            if !row.job_ids.contains(&id) {
                row.job_ids.push(id);
            }
        }
        match self.0.store.insert_calendar(&row).await? {
            // It has no events that anyone should hear of.
            true => Ok(Calendar::from_row(row)),
            false => Err(JobError::bad_request(format!(
                "Cannot create calendar with id [{calendar_id}] as it already exists"
            ))),
        }
    }

    /// Calendars by ids and wildcards, sorted by id.
    pub async fn calendars(&self, expression: &str) -> Result<Vec<Calendar>> {
        let rows = self.0.store.calendars().await?;
        let picked: BTreeSet<String> = {
            let ids = rows.iter().map(|row| row.calendar_id.as_str());
            let picked = pick(ids, expression, true, no_calendar)?;
            picked.into_iter().map(str::to_owned).collect()
        };
        let rows = rows.into_iter();
        let picked = rows.filter(|row| picked.contains(&row.calendar_id));
        Ok(picked.map(Calendar::from_row).collect())
    }

    async fn calendar(&self, calendar_id: &str) -> Result<Calendar> {
        let rows = self.0.store.calendars().await?;
        let found = rows.into_iter().find(|row| row.calendar_id == calendar_id);
        found
            .map(Calendar::from_row)
            .ok_or_else(|| no_calendar(calendar_id))
    }

    pub async fn delete_calendar(&self, calendar_id: &str) -> Result<()> {
        let resources = self.0.resources.lock().await;
        let calendar = self.calendar(calendar_id).await?;
        if !self.0.store.delete_calendar(calendar_id).await? {
            return Err(no_calendar(calendar_id));
        }
        drop(resources);
        self.spread_events(&[&calendar]).await;
        Ok(())
    }

    /// Adds names to a calendar's jobs, given as a comma list.
    pub async fn add_calendar_jobs(&self, calendar_id: &str, names: &str) -> Result<Calendar> {
        let change = |job_ids: &mut Vec<String>| {
            for name in split(names) {
                if !job_ids.iter().any(|id| id == name) {
                    job_ids.push(name.to_owned());
                }
            }
            Ok(())
        };
        self.change_calendar(calendar_id, change).await
    }

    /// Takes names out of a calendar's jobs: all of them, or none where one isn't there.
    pub async fn remove_calendar_jobs(&self, calendar_id: &str, names: &str) -> Result<Calendar> {
        let change = |job_ids: &mut Vec<String>| {
            for name in split(names) {
                let Some(at) = job_ids.iter().position(|id| id == name) else {
                    return Err(JobError::bad_request(format!(
                        "Cannot remove [{name}] as it is not present in calendar [{calendar_id}]"
                    )));
                };
                job_ids.remove(at);
            }
            Ok(())
        };
        self.change_calendar(calendar_id, change).await
    }

    async fn change_calendar(
        &self,
        calendar_id: &str,
        change: impl FnOnce(&mut Vec<String>) -> Result<()>,
    ) -> Result<Calendar> {
        let resources = self.0.resources.lock().await;
        let old = self.calendar(calendar_id).await?;
        let mut new = old.clone();
        change(&mut new.job_ids)?;
        let job_ids = new.job_ids.clone();
        if !self.0.store.set_calendar_jobs(calendar_id, job_ids).await? {
            return Err(no_calendar(calendar_id));
        }
        drop(resources);
        self.spread_events(&[&old, &new]).await;
        Ok(new)
    }

    pub async fn add_events(
        &self,
        calendar_id: &str,
        new: Vec<NewEvent>,
    ) -> Result<Vec<ScheduledEvent>> {
        if new.is_empty() {
            return Err(JobError::bad_request("At least 1 event is required"));
        }
        let events: Result<Vec<ScheduledEvent>> = new
            .into_iter()
            .map(|event| ScheduledEvent::new(calendar_id, event))
            .collect();
        let events = events?;
        let resources = self.0.resources.lock().await;
        let calendar = self.calendar(calendar_id).await?;
        let there = self.events(calendar_id, &EventQuery::default()).await?;
        if there.len() + events.len() > MAX_EVENTS {
            return Err(JobError::bad_request(format!(
                "Calendar [{calendar_id}] contains too many events; up to [{MAX_EVENTS}] events are allowed"
            )));
        }
        let rows = events.iter().map(ScheduledEvent::row).collect();
        if !self.0.store.insert_events(rows).await? {
            return Err(no_calendar(calendar_id));
        }
        drop(resources);
        self.spread_events(&[&calendar]).await;
        Ok(events)
    }

    /// The events of calendars, by the time at which they begin.
    pub async fn events(&self, calendars: &str, query: &EventQuery) -> Result<Vec<ScheduledEvent>> {
        let mut calendars = self.calendars(calendars).await?;
        if let Some(job_id) = &query.job_id {
            let names = self.names_meant(job_id)?;
            calendars.retain(|calendar| calendar.names_any(&names));
        }
        self.events_of(&calendars, query.start, query.end).await
    }

    async fn events_of(
        &self,
        calendars: &[Calendar],
        start: Option<i64>,
        end: Option<i64>,
    ) -> Result<Vec<ScheduledEvent>> {
        let ids: BTreeSet<&str> = calendars.iter().map(|c| c.calendar_id.as_str()).collect();
        let rows = self.0.store.events(start, end).await?;
        let rows = rows.iter();
        let asked = rows.filter(|row| ids.contains(row.calendar_id.as_str()));
        asked.map(ScheduledEvent::from_row).collect()
    }

    /// The names that calendars may have for a job, or for a group of jobs.
    fn names_meant(&self, job_or_group: &str) -> Result<Vec<String>> {
        let jobs = self.0.jobs.read();
        if let Some(entry) = jobs.get(job_or_group) {
            return Ok(names_of(&entry.job.read()));
        }
        let group = job_or_group.to_owned();
        match jobs
            .values()
            .any(|entry| entry.job.read().groups.contains(&group))
        {
            true => Ok(vec![group]),
            false => Err(JobError::no_such_job(job_or_group)),
        }
    }

    pub async fn delete_event(&self, calendar_id: &str, event_id: &str) -> Result<()> {
        let resources = self.0.resources.lock().await;
        let calendar = self.calendar(calendar_id).await?;
        let missing = || JobError::not_found(format!("No event with id [{event_id}]"));
        let event = self.0.store.event(event_id).await?.ok_or_else(missing)?;
        if event.calendar_id != calendar_id {
            return Err(JobError::bad_request(format!(
                "Event [{event_id}] has calendar_id [{}] which does not match the request calendar_id [{calendar_id}]",
                event.calendar_id
            )));
        }
        if !self.0.store.delete_event(event_id).await? {
            return Err(missing());
        }
        drop(resources);
        self.spread_events(&[&calendar]).await;
        Ok(())
    }

    /// Tells open jobs that their events have changed.
    async fn spread_events(&self, calendars: &[&Calendar]) {
        let concerns = |job: &Job| calendars.iter().any(|calendar| calendar.is_for(job));
        self.spread_rules(concerns, "Updated calendars in running process")
            .await;
    }

    /// The events that are for a job, on the grid of its buckets.
    pub(crate) async fn events_for(&self, job: &Job) -> Result<Vec<Event>> {
        let mut calendars = self.calendars(ALL).await?;
        calendars.retain(|calendar| calendar.is_for(job));
        let events = self.events_of(&calendars, None, None).await?;
        let span = job.analysis_config.span();
        Ok(events
            .into_iter()
            .map(|event| event.on_grid(span))
            .collect())
    }
}

fn split(names: &str) -> impl Iterator<Item = &str> {
    names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn no_calendar(calendar_id: &str) -> JobError {
    JobError::not_found(format!("No calendar with id [{calendar_id}]"))
}
