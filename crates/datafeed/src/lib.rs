//! Where records come from
