//! Tests of what datafeeds may say.
