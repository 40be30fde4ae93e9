//! The wire: Elasticsearch's REST dialect
