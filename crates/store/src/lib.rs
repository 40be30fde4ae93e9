//! Persistence: one embedded SQLite file
