//! An address that stays while the server behind it comes back at another.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Door {
    pub address: String,
    behind: Arc<Mutex<String>>,
}

impl Door {
    pub fn open(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let behind = Arc::new(Mutex::new(behind.to_owned()));
        let target = behind.clone();
        thread::spawn(move || {
            for outside in listener.incoming().flatten() {
                let target = target.lock().expect("no panic").clone();
                // Nobody behind it: the door falls shut.
                let Ok(inside) = TcpStream::connect(target) else {
                    continue;
                };
                pass(&outside, &inside);
                pass(&inside, &outside);
            }
        });
        Self { address, behind }
    }

    pub fn lead_to(&self, behind: &str) {
        *self.behind.lock().expect("no panic") = behind.to_owned();
    }
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a socket");
    let mut to = to.try_clone().expect("a socket");
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}
