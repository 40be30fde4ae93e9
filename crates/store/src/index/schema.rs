//! The fields that every index has below, whatever its mapping says

use std::sync::LazyLock;

use tantivy::schema::{
    FAST, Field, IndexRecordOption, JsonObjectOptions, STORED, Schema, TextFieldIndexing,
    TextOptions,
};

/// The tokenizer of `text`.
pub const STANDARD: &str = "standard";

/// A path in `words` that names the paths of a document's texts, which have no column: what `exists` asks.
pub const FIELD_NAMES: &str = "_field_names";

/// The physical fields, the same in every index. A path of a mapping is a path in one of the three last.
#[derive(Debug)]
pub struct Physical {
    pub schema: Schema,
    /// The document's id: a raw term, stored.
    pub id: Field,
    /// The document as it was sent: stored bytes.
    pub source: Field,
    /// The document's routing, if it was given any: a raw term, stored.
    pub routing: Field,
    /// The order of writing: a column, `u64`.
    pub seq_no: Field,
    /// A column, `u64`.
    pub version: Field,
    /// Words and booleans as they are: terms and columns. An address is 32 hexadecimal digits, whose order is the addresses'.
    pub words: Field,
    /// Numbers and dates: columns only, `i64` or `f64`.
    pub numbers: Field,
    /// The words of texts, with positions: terms only.
    pub text: Field,
}

pub static PHYSICAL: LazyLock<Physical> = LazyLock::new(Physical::new);

impl Physical {
    fn new() -> Self {
        let raw = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        let positions = TextFieldIndexing::default()
            .set_tokenizer(STANDARD)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let id = TextOptions::default()
            .set_indexing_options(raw.clone())
            .set_stored();

        let mut schema = Schema::builder();
        Self {
            id: schema.add_text_field("_id", id.clone()),
            source: schema.add_bytes_field("_source", STORED),
            routing: schema.add_text_field("_routing", id),
            seq_no: schema.add_u64_field("_seq_no", FAST),
            version: schema.add_u64_field("_version", FAST),
            words: schema.add_json_field(
                "k",
                JsonObjectOptions::default()
                    .set_indexing_options(raw)
                    .set_fast("raw")
                    .set_expand_dots_enabled(),
            ),
            numbers: schema.add_json_field(
                "n",
                JsonObjectOptions::default()
                    .set_fast("raw")
                    .set_expand_dots_enabled(),
            ),
            text: schema.add_json_field(
                "t",
                JsonObjectOptions::default()
                    .set_indexing_options(positions)
                    .set_expand_dots_enabled(),
            ),
            schema: schema.build(),
        }
    }
}
