//! A job and its life
