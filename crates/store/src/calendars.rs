//! Calendars, the jobs that they are for, and their events

use std::collections::HashMap;

use sqlx::{FromRow, SqliteConnection};

use crate::Store;
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarRow {
    pub calendar_id: String,
    pub description: Option<String>,
    /// In the order in which they were given.
    pub job_ids: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EventRow {
    /// Unique among all events.
    pub event_id: String,
    pub calendar_id: String,
    /// Milliseconds, as is the end.
    pub start_time: i64,
    pub end_time: i64,
    /// The event, JSON.
    pub doc: String,
}

impl Store {
    /// Adds a calendar. `false`: there is one of this id, and nothing has changed.
    pub async fn insert_calendar(&self, calendar: &CalendarRow) -> Result<bool> {
        let calendar = calendar.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(
                    "INSERT INTO calendars (calendar_id, description) VALUES (?, ?)
                     ON CONFLICT DO NOTHING",
                )
                .bind(&calendar.calendar_id)
                .bind(calendar.description)
                .execute(&mut *conn)
                .await?;
                let added = done.rows_affected() == 1;
                if added {
                    add_jobs(conn, &calendar.calendar_id, calendar.job_ids).await?;
                }
                Ok(added)
            })
        })
        .await
    }

    /// Replaces the jobs of a calendar. `false`: there is no such calendar.
    pub async fn set_calendar_jobs(&self, calendar_id: &str, job_ids: Vec<String>) -> Result<bool> {
        let calendar_id = calendar_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let found: Option<i64> =
                    sqlx::query_scalar("SELECT 1 FROM calendars WHERE calendar_id = ?")
                        .bind(&calendar_id)
                        .fetch_optional(&mut *conn)
                        .await?;
                if found.is_some() {
                    sqlx::query("DELETE FROM calendar_jobs WHERE calendar_id = ?")
                        .bind(&calendar_id)
                        .execute(&mut *conn)
                        .await?;
                    add_jobs(conn, &calendar_id, job_ids).await?;
                }
                Ok(found.is_some())
            })
        })
        .await
    }

    /// Deletes a calendar with its events. `false`: there is none of this id.
    pub async fn delete_calendar(&self, calendar_id: &str) -> Result<bool> {
        let calendar_id = calendar_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM calendars WHERE calendar_id = ?")
                    .bind(calendar_id)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }

    /// Every calendar, by id.
    pub async fn calendars(&self) -> Result<Vec<CalendarRow>> {
        // One statement is one view of both tables.
        let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT c.calendar_id, c.description, j.job_id
             FROM calendars c LEFT JOIN calendar_jobs j ON j.calendar_id = c.calendar_id
             ORDER BY c.calendar_id, j.position",
        )
        .fetch_all(self.readers())
        .await?;
        let mut calendars: Vec<CalendarRow> = Vec::new();
        for (calendar_id, description, job_id) in rows {
            match calendars.last_mut() {
                Some(last) if last.calendar_id == calendar_id => last.job_ids.extend(job_id),
                _ => calendars.push(CalendarRow {
                    calendar_id,
                    description,
                    job_ids: job_id.into_iter().collect(),
                }),
            }
        }
        Ok(calendars)
    }

    /// Adds events, all or none. `false`: a calendar of theirs isn't there, and nothing has changed.
    pub async fn insert_events(&self, events: Vec<EventRow>) -> Result<bool> {
        self.write(move |conn| {
            Box::pin(async move {
                let mut known: HashMap<String, bool> = HashMap::new();
                for event in &events {
                    if !known.contains_key(&event.calendar_id) {
                        let found: Option<i64> =
                            sqlx::query_scalar("SELECT 1 FROM calendars WHERE calendar_id = ?")
                                .bind(&event.calendar_id)
                                .fetch_optional(&mut *conn)
                                .await?;
                        known.insert(event.calendar_id.clone(), found.is_some());
                    }
                }
                if known.values().any(|found| !found) {
                    return Ok(false);
                }
                for event in events {
                    sqlx::query(
                        "INSERT INTO calendar_events
                             (event_id, calendar_id, start_time, end_time, doc)
                         VALUES (?, ?, ?, ?, ?)",
                    )
                    .bind(event.event_id)
                    .bind(event.calendar_id)
                    .bind(event.start_time)
                    .bind(event.end_time)
                    .bind(event.doc)
                    .execute(&mut *conn)
                    .await?;
                }
                Ok(true)
            })
        })
        .await
    }

    /// Events of every calendar that end after `start` and begin before `end` (milliseconds), by the time at which
    /// they begin.
    pub async fn events(&self, start: Option<i64>, end: Option<i64>) -> Result<Vec<EventRow>> {
        let events = sqlx::query_as(
            "SELECT event_id, calendar_id, start_time, end_time, doc FROM calendar_events
             WHERE (?1 IS NULL OR end_time > ?1) AND (?2 IS NULL OR start_time < ?2)
             ORDER BY start_time, json_extract(doc, '$.description'), event_id",
        )
        .bind(start)
        .bind(end)
        .fetch_all(self.readers())
        .await?;
        Ok(events)
    }

    pub async fn event(&self, event_id: &str) -> Result<Option<EventRow>> {
        let event = sqlx::query_as(
            "SELECT event_id, calendar_id, start_time, end_time, doc FROM calendar_events
             WHERE event_id = ?",
        )
        .bind(event_id)
        .fetch_optional(self.readers())
        .await?;
        Ok(event)
    }

    /// Deletes an event. `false`: there is none of this id.
    pub async fn delete_event(&self, event_id: &str) -> Result<bool> {
        let event_id = event_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM calendar_events WHERE event_id = ?")
                    .bind(event_id)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }
}

async fn add_jobs(
    conn: &mut SqliteConnection,
    calendar_id: &str,
    job_ids: Vec<String>,
) -> Result<()> {
    for (position, job_id) in (0i64..).zip(job_ids) {
        sqlx::query("INSERT INTO calendar_jobs (calendar_id, position, job_id) VALUES (?, ?, ?)")
            .bind(calendar_id)
            .bind(position)
            .bind(job_id)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tempdir;

    fn calendar(id: &str, job_ids: &[&str]) -> CalendarRow {
        CalendarRow {
            calendar_id: id.to_owned(),
            description: None,
            job_ids: job_ids.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn event(id: &str, calendar_id: &str, start_time: i64, end_time: i64) -> EventRow {
        EventRow {
            event_id: id.to_owned(),
            calendar_id: calendar_id.to_owned(),
            start_time,
            end_time,
            doc: format!(r#"{{"description":"{id}"}}"#),
        }
    }

    #[tokio::test]
    async fn calendars_keep_their_jobs_in_order() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        assert!(
            store
                .insert_calendar(&calendar("b", &["z", "a"]))
                .await
                .unwrap()
        );
        let described = CalendarRow {
            description: Some("first".to_owned()),
            ..calendar("a", &[])
        };
        assert!(store.insert_calendar(&described).await.unwrap());
        assert!(!store.insert_calendar(&calendar("a", &["x"])).await.unwrap());
        assert_eq!(
            store.calendars().await.unwrap(),
            [described.clone(), calendar("b", &["z", "a"])]
        );
        let jobs = || vec!["m".to_owned()];
        assert!(store.set_calendar_jobs("b", jobs()).await.unwrap());
        assert!(!store.set_calendar_jobs("gone", jobs()).await.unwrap());
        assert_eq!(
            store.calendars().await.unwrap(),
            [described, calendar("b", &["m"])]
        );
    }

    #[tokio::test]
    async fn events_overlap_strictly_and_go_with_their_calendar() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        store.insert_calendar(&calendar("a", &[])).await.unwrap();
        store.insert_calendar(&calendar("b", &[])).await.unwrap();
        let events = vec![
            event("2", "a", 20, 30),
            event("1", "b", 20, 30),
            event("0", "a", 0, 10),
        ];
        assert!(store.insert_events(events.clone()).await.unwrap());
        let stray = vec![event("3", "a", 0, 1), event("4", "gone", 0, 1)];
        assert!(!store.insert_events(stray).await.unwrap());
        let ids = async |start, end| -> String {
            let events = store.events(start, end).await.unwrap();
            events.iter().map(|event| event.event_id.as_str()).collect()
        };
        assert_eq!(ids(None, None).await, "012");
        assert_eq!(ids(Some(10), None).await, "12");
        assert_eq!(ids(Some(9), Some(20)).await, "0");
        assert!(store.delete_event("1").await.unwrap());
        assert!(!store.delete_event("1").await.unwrap());
        assert_eq!(store.event("2").await.unwrap().as_ref(), Some(&events[0]));
        assert!(store.delete_calendar("a").await.unwrap());
        assert!(!store.delete_calendar("a").await.unwrap());
        assert_eq!(ids(None, None).await, "");
    }
}
