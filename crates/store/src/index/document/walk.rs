//! A document's JSON along its mapping

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use super::super::error::Refusal;
use super::super::json::{Json, Malformed, Text, Token, place};
use super::super::mapping::dynamic::{Growth, Seen};
use super::super::mapping::tree::{Branch, Child, SlotId, Tree};
use super::super::mapping::{Dynamic, Kind, Mapping, Place, check_parts, join, plain};
use super::points::{self, Point};
use super::{Entry, Leaf, Path, Root, Span, Values, numbers};

type Result<T, E = Refusal> = std::result::Result<T, E>;

/// The longest term, in bytes, as in Lucene.
const TERM_BYTES: usize = 32_766;
/// How many keys of an object are compared one by one.
const FEW_KEYS: usize = 32;
/// Fields that every document has, and that it doesn't say itself.
const METADATA: [&str; 9] = [
    "_field_names",
    "_id",
    "_ignored",
    "_index",
    "_nested_path",
    "_routing",
    "_seq_no",
    "_source",
    "_version",
];

/// What a document has for the index, and what it adds to the mapping. Where it adds anything, it is to be read again
/// with the mapping that has grown.
#[derive(Debug, Default)]
pub struct Parsed {
    pub values: Values,
    pub growth: Growth,
}

/// Reads a document.
///
/// # Errors
/// What Elasticsearch says of a document that isn't JSON, or that doesn't fit its mapping.
pub fn walk(source: &str, id: &str, mapping: &Mapping) -> Result<Parsed> {
    if u32::try_from(source.len()).is_err() {
        return Err(Refusal::illegal_argument("the document is too long"));
    }
    let tree = mapping.tree();
    let mut walk = Walk {
        json: Json::new(source),
        id,
        mapping,
        tree,
        out: Parsed::default(),
        keys: Vec::new(),
    };
    walk.out.values.entries.reserve(tree.slots.len().min(64));
    walk.document()?;
    Ok(walk.out)
}

struct Walk<'a> {
    json: Json<'a>,
    id: &'a str,
    mapping: &'a Mapping,
    tree: &'a Tree,
    out: Parsed,
    /// The keys of the objects that are open.
    keys: Vec<Cow<'a, str>>,
}

/// Why a value isn't one of its field; the field's own words come around it.
type Cause = Refusal;

impl<'a> Walk<'a> {
    fn document(&mut self) -> Result<()> {
        if self.json.text().trim_ascii().is_empty() {
            return Err(Refusal::new(
                "document_parsing_exception",
                "[-1:-1] failed to parse, document is empty",
            ));
        }
        if self.value()? != Token::Object {
            return Err(self.fail("Malformed content, must start with an object"));
        }
        let root = &self.tree.root;
        if root.disabled {
            self.skip(&Token::Object)?;
        } else {
            self.object(root)?;
        }
        if !self.json.at_end() {
            let at = self.json.position();
            let cause = Malformed {
                at,
                reason: "Malformed content, found extra data after parsing".to_owned(),
            };
            return Err(self.malformed(cause));
        }
        for (id, value) in &self.tree.constants {
            let leaf = self.extra(value);
            self.push(Root::Words, Path::Field(*id), leaf);
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Token<'a>> {
        self.json.value().map_err(|cause| self.malformed(cause))
    }

    fn key(&mut self, first: &mut bool) -> Result<Option<Text<'a>>> {
        self.json.key(first).map_err(|cause| self.malformed(cause))
    }

    fn element(&mut self, first: &mut bool) -> Result<bool> {
        self.json
            .element(first)
            .map_err(|cause| self.malformed(cause))
    }

    fn skip(&mut self, begun: &Token<'a>) -> Result<()> {
        self.json.skip(begun).map_err(|cause| self.malformed(cause))
    }

    fn skip_value(&mut self) -> Result<()> {
        let token = self.value()?;
        self.skip(&token)
    }

    /// The members of an object that has begun.
    fn object(&mut self, branch: &'a Branch) -> Result<()> {
        let opened = self.keys.len();
        let (mut first, mut many) = (true, HashSet::new());
        while let Some(key) = self.key(&mut first)? {
            self.check_new(&key.text, opened, &mut many)?;
            self.member(branch, &key.text)?;
            self.keys.push(key.text);
        }
        self.keys.truncate(opened);
        Ok(())
    }

    /// Refuses a key that the object has already.
    #[expect(clippy::ptr_arg, reason = "it is kept as it is: most are borrowed")]
    fn check_new(
        &self,
        key: &Cow<'a, str>,
        opened: usize,
        many: &mut HashSet<Cow<'a, str>>,
    ) -> Result<()> {
        let before = &self.keys[opened..];
        let known = if before.len() < FEW_KEYS {
            before.contains(key)
        } else {
            if many.is_empty() {
                many.extend(before.iter().cloned());
            }
            !many.insert(key.clone())
        };
        if known {
            return Err(self.malformed(Malformed {
                at: self.json.position(),
                reason: format!("Duplicate field '{key}'"),
            }));
        }
        Ok(())
    }

    /// One member; its value is next.
    fn member(&mut self, branch: &'a Branch, key: &str) -> Result<()> {
        match branch.children.get(key) {
            Some(Child::Field(id)) => {
                let token = self.value()?;
                self.field(*id, token)
            }
            Some(Child::Branch(below)) if below.disabled => self.skip_value(),
            Some(Child::Branch(below)) => {
                let token = self.value()?;
                self.branch(below, &token)
            }
            None => match key.split_once('.') {
                Some((name, rest)) => self.dotted(branch, key, name, rest),
                None if branch.path.is_empty() && METADATA.contains(&key) => self.metadata(key),
                None => self.unknown(&branch.path, branch.dynamic, key),
            },
        }
    }

    /// A member that is Elasticsearch's own.
    fn metadata(&mut self, name: &str) -> Result<()> {
        let token = self.value()?;
        let at = self.json.token_start();
        self.skip(&token)?;
        let preview = self.preview(at);
        let cause = self.fail_at(
            at,
            &format!(
                "Field [{name}] is a metadata field and cannot be added inside a document. Use the index API request \
                 parameters."
            ),
        );
        let reason = format!(
            "failed to parse field [{name}] of type [{name}] in document with id '{}'. Preview of field's value: \
             '{preview}'",
            self.id
        );
        Err(self.fail_at(at, &reason).because(cause))
    }

    /// A member whose key is a path.
    fn dotted(&mut self, branch: &'a Branch, key: &str, name: &str, rest: &str) -> Result<()> {
        check_parts(key).map_err(|cause| self.around(cause))?;
        match branch.children.get(name) {
            Some(Child::Branch(below)) if below.disabled => self.skip_value(),
            Some(Child::Branch(below)) => self.member(below, rest),
            Some(Child::Field(id)) => {
                let field = &self.tree.slot(*id).field;
                self.value()?;
                Err(self.fail(format!(
                    "Could not dynamically add mapping for field [{key}]. Existing mapping for [{}] must be of type \
                     object but found [{}].",
                    field.path,
                    field.kind.name()
                )))
            }
            None => self.unknown(&branch.path, branch.dynamic, key),
        }
    }

    /// A value where an object is mapped.
    fn branch(&mut self, branch: &'a Branch, token: &Token<'a>) -> Result<()> {
        match token {
            Token::Null => Ok(()),
            Token::Object => self.object(branch),
            Token::Array => {
                let mut first = true;
                while self.element(&mut first)? {
                    let token = self.value()?;
                    self.branch(branch, &token)?;
                }
                Ok(())
            }
            _ => {
                let name = branch
                    .path
                    .rsplit_once('.')
                    .map_or(branch.path.as_str(), |(_, name)| name);
                Err(self.fail(format!(
                    "object mapping for [{}] tried to parse field [{name}] as object, but found a concrete value",
                    branch.path
                )))
            }
        }
    }

    /// A member that nobody mapped; its value is next.
    fn unknown(&mut self, parent: &str, dynamic: Dynamic, name: &str) -> Result<()> {
        match dynamic {
            Dynamic::False => self.skip_value(),
            Dynamic::Strict => {
                self.value()?;
                let within = if parent.is_empty() { "_doc" } else { parent };
                let mut refusal = self.fail(format!(
                    "mapping set to strict, dynamic introduction of [{name}] within [{within}] is not allowed"
                ));
                refusal.kind = "strict_dynamic_mapping_exception";
                Err(refusal)
            }
            Dynamic::True | Dynamic::Runtime => {
                if name.is_empty() {
                    return Err(self.around(Refusal::illegal_argument(
                        "field name cannot be an empty string",
                    )));
                }
                check_parts(name).map_err(|cause| self.around(cause))?;
                let token = self.value()?;
                self.unmapped(&join(parent, name), dynamic, &token)
            }
        }
    }

    /// The value of a field that nobody mapped: what it is to be is told by its first value.
    fn unmapped(&mut self, path: &str, dynamic: Dynamic, token: &Token<'a>) -> Result<()> {
        let seen = match token {
            Token::Null => return Ok(()),
            Token::Text(text) => Seen::Text(&text.text),
            Token::Number(number) if number.contains(['.', 'e', 'E']) => Seen::Double,
            Token::Number(_) => Seen::Long,
            Token::Bool(_) => Seen::Bool,
            Token::Array => {
                let mut first = true;
                while self.element(&mut first)? {
                    let token = self.value()?;
                    self.unmapped(path, dynamic, &token)?;
                }
                return Ok(());
            }
            Token::Object => Seen::Object,
        };
        // A field that is there at run time only has no values of its own.
        if self.mapping.runtime().contains_key(path) {
            return self.skip(token);
        }
        let runtime = dynamic == Dynamic::Runtime;
        let growth = &mut self.out.growth;
        self.mapping.detection().define(growth, path, seen, runtime);
        if seen != Seen::Object {
            return Ok(());
        }
        let is_object = growth
            .properties
            .get(path)
            .and_then(|definition| definition.get("type"))
            .is_none_or(|kind| kind == "object" || kind == "nested");
        if !is_object {
            return self.skip(token);
        }
        let opened = self.keys.len();
        let (mut first, mut many) = (true, HashSet::new());
        while let Some(key) = self.key(&mut first)? {
            self.check_new(&key.text, opened, &mut many)?;
            self.unknown(path, dynamic, &key.text)?;
            self.keys.push(key.text);
        }
        self.keys.truncate(opened);
        Ok(())
    }

    /// The value of a field.
    fn field(&mut self, id: SlotId, token: Token<'a>) -> Result<()> {
        let field = &*self.tree.slot(id).field;
        match &field.kind {
            Kind::Flattened { depth_limit } => return self.flattened(id, *depth_limit, token),
            Kind::GeoPoint => return self.point(id, &token),
            Kind::Alias { .. } => {
                let cause = Refusal::illegal_argument(format!(
                    "Cannot write to a field alias [{}].",
                    field.path
                ));
                return Err(self.around(cause));
            }
            _ => {}
        }
        match token {
            Token::Array => {
                let mut first = true;
                while self.element(&mut first)? {
                    let token = self.value()?;
                    self.field(id, token)?;
                }
                Ok(())
            }
            Token::Object => {
                let at = self.json.token_start();
                let cause = if field.kind.is_numeric() {
                    Refusal::illegal_argument("Cannot parse object as number")
                } else {
                    let (line, column) = place(self.json.text(), at);
                    Refusal::new(
                        "illegal_state_exception",
                        format!("Can't get text on a START_OBJECT at {line}:{column}"),
                    )
                };
                self.skip(&token)?;
                if field.ignore_malformed {
                    return Ok(());
                }
                Err(self.wrong(id, at, cause))
            }
            Token::Null => self.null(id),
            scalar => self.scalar(id, &scalar),
        }
    }

    /// An explicit null: what each field takes for it.
    fn null(&mut self, id: SlotId) -> Result<()> {
        let tree = self.tree;
        for id in std::iter::once(&id).chain(&tree.slot(id).subs) {
            let field = &tree.slot(*id).field;
            let text = |text: String| {
                Token::Text(Text {
                    text: Cow::Owned(text),
                    start: 0,
                })
            };
            let number;
            let token = match &field.null_value {
                None => continue,
                Some(Value::Bool(is)) if field.kind == Kind::Boolean => Token::Bool(*is),
                Some(Value::Number(value)) if field.kind.is_numeric() => {
                    number = value.to_string();
                    Token::Number(&number)
                }
                Some(other) => text(plain(other)),
            };
            self.put(*id, &token)?;
        }
        Ok(())
    }

    /// One value, for its field, the multi-fields and what it is copied to.
    fn scalar(&mut self, id: SlotId, token: &Token<'_>) -> Result<()> {
        let tree = self.tree;
        let slot = tree.slot(id);
        self.put(id, token)?;
        for sub in &slot.subs {
            self.put(*sub, token)?;
        }
        for target in &slot.copies {
            self.put(*target, token)?;
            for sub in &tree.slot(*target).subs {
                self.put(*sub, token)?;
            }
        }
        if slot.copies.len() < slot.field.copy_to.len() {
            self.copy_to_unmapped(id, token);
        }
        Ok(())
    }

    /// Maps the fields that this one is copied to.
    fn copy_to_unmapped(&mut self, id: SlotId, token: &Token<'_>) {
        let seen = match token {
            Token::Text(text) => Seen::Text(&text.text),
            Token::Number(number) if number.contains(['.', 'e', 'E']) => Seen::Double,
            Token::Number(_) => Seen::Long,
            _ => Seen::Bool,
        };
        if self.tree.root.dynamic != Dynamic::True {
            return;
        }
        for target in &self.tree.slot(id).field.copy_to {
            if self.mapping.field(target).is_none() {
                let growth = &mut self.out.growth;
                self.mapping.detection().define(growth, target, seen, false);
            }
        }
    }

    /// Puts a value of one field down.
    fn put(&mut self, id: SlotId, token: &Token<'_>) -> Result<()> {
        match self.try_put(id, token) {
            Err(_) if self.tree.slot(id).field.ignore_malformed => Ok(()),
            Err(cause) => Err(self.wrong(id, self.json.token_start(), cause)),
            Ok(()) => Ok(()),
        }
    }

    fn try_put(&mut self, id: SlotId, token: &Token<'_>) -> Result<(), Cause> {
        let field = &*self.tree.slot(id).field;
        let path = Path::Field(id);
        let kept = field.place() != Place::Source;
        match &field.kind {
            Kind::Keyword | Kind::Wildcard => {
                let text = text_of(token);
                if is_longer(text, field.ignore_above) {
                    return Ok(());
                }
                check_term(text.len(), text, &field.path)?;
                if kept {
                    let leaf = self.text_leaf(token);
                    self.push(Root::Words, path, leaf);
                }
            }
            Kind::Text | Kind::MatchOnlyText => {
                if kept {
                    let leaf = self.text_leaf(token);
                    self.push(Root::Text, path, leaf);
                    self.push(Root::Words, Path::FieldNames, Leaf::PathOf(id));
                }
            }
            Kind::Boolean => {
                let is = boolean(token)?;
                if kept {
                    self.push(Root::Words, path, Leaf::Bool(is));
                }
            }
            Kind::Date | Kind::DateNanos => {
                let text = text_of(token);
                let Some(instant) = field.format.parse(text) else {
                    return Err(no_date(text, &field.format.pattern));
                };
                let value = if field.kind == Kind::Date {
                    instant.millis
                } else {
                    instant
                        .epoch_nanos()
                        .ok_or_else(|| out_of_nanos(text, instant.millis))?
                };
                if kept {
                    self.push(Root::Numbers, path, Leaf::Integer(value));
                }
            }
            Kind::Ip => {
                let text = text_of(token);
                let address: IpAddr = text.parse().map_err(|_| {
                    Refusal::illegal_argument(format!("'{text}' is not an IP string literal."))
                })?;
                if kept {
                    let leaf = self.extra(&super::super::address_key(address));
                    self.push(Root::Words, path, leaf);
                }
            }
            Kind::ConstantKeyword { value } => {
                self.constant(id, value.as_deref(), text_of(token))?
            }
            Kind::GeoPoint => {
                let point = points::from_text(text_of(token))?;
                self.put_point(id, point)?;
            }
            Kind::Binary => {
                if !matches!(token, Token::Text(_)) {
                    return Err(Refusal::illegal_argument(
                        "a binary value must be a string in base64",
                    ));
                }
            }
            Kind::Flattened { .. } => {
                return Err(Refusal::new(
                    "parsing_exception",
                    "Failed to parse object: expecting token of type [START_OBJECT]",
                ));
            }
            Kind::Alias { .. } => {
                return Err(Refusal::illegal_argument(format!(
                    "Cannot write to a field alias [{}].",
                    field.path
                )));
            }
            kind => {
                let leaf = numbers::number(kind, token, field.coerce)?;
                if kept {
                    self.push(Root::Numbers, path, leaf);
                }
            }
        }
        Ok(())
    }

    /// The value of a field that has only one: the first document brings it.
    fn constant(&mut self, id: SlotId, value: Option<&str>, text: &str) -> Result<(), Cause> {
        let path = &self.tree.slot(id).field.path;
        match value {
            Some(value) if value == text => Ok(()),
            Some(value) => Err(Refusal::illegal_argument(format!(
                "[constant_keyword] field [{path}] only accepts values that are equal to the value defined in the \
                 mappings [{value}], but got [{text}]"
            ))),
            None => {
                let definition = serde_json::json!({"type": "constant_keyword", "value": text});
                self.out.growth.properties.insert(path.clone(), definition);
                Ok(())
            }
        }
    }

    /// The value of a flattened field: an object, or many.
    fn flattened(&mut self, id: SlotId, depth_limit: usize, token: Token<'a>) -> Result<()> {
        match token {
            Token::Null => Ok(()),
            Token::Object => {
                let path = self.tree.slot(id).field.path.clone();
                self.flat_object(id, &path, depth_limit)
            }
            Token::Array => {
                let mut first = true;
                while self.element(&mut first)? {
                    let token = self.value()?;
                    self.flattened(id, depth_limit, token)?;
                }
                Ok(())
            }
            other => {
                let name = match other {
                    Token::Text(_) => "VALUE_STRING",
                    Token::Number(_) => "VALUE_NUMBER",
                    _ => "VALUE_BOOLEAN",
                };
                let cause = Refusal::new(
                    "parsing_exception",
                    format!(
                        "Failed to parse object: expecting token of type [START_OBJECT] but found [{name}]"
                    ),
                );
                Err(self.wrong(id, self.json.token_start(), cause))
            }
        }
    }

    fn flat_object(&mut self, id: SlotId, path: &str, depth: usize) -> Result<()> {
        if depth == 0 {
            let field = &self.tree.slot(id).field;
            let Kind::Flattened { depth_limit } = field.kind else {
                return Ok(());
            };
            let cause = Refusal::illegal_argument(format!(
                "The provided [flattened] field [{}] exceeds the maximum depth limit of [{depth_limit}].",
                field.path
            ));
            return Err(self.wrong(id, self.json.token_start(), cause));
        }
        let opened = self.keys.len();
        let (mut first, mut many) = (true, HashSet::new());
        while let Some(key) = self.key(&mut first)? {
            self.check_new(&key.text, opened, &mut many)?;
            if key.text.bytes().any(|b| b < 2) {
                let cause = Refusal::illegal_argument(format!(
                    "Do not include the null byte in [flattened] field [{path}]."
                ));
                return Err(self.wrong(id, self.json.token_start(), cause));
            }
            let below = join(path, &key.text);
            let token = self.value()?;
            self.flat_value(id, &below, depth, token)?;
            self.keys.push(key.text);
        }
        self.keys.truncate(opened);
        Ok(())
    }

    fn flat_value(&mut self, id: SlotId, path: &str, depth: usize, token: Token<'a>) -> Result<()> {
        match token {
            Token::Null => Ok(()),
            Token::Object => self.flat_object(id, path, depth - 1),
            Token::Array => {
                let mut first = true;
                while self.element(&mut first)? {
                    let token = self.value()?;
                    self.flat_value(id, path, depth, token)?;
                }
                Ok(())
            }
            scalar => {
                let field = &*self.tree.slot(id).field;
                let text = text_of(&scalar);
                if is_longer(text, field.ignore_above) || field.place() == Place::Source {
                    return Ok(());
                }
                if let Err(cause) = check_term(text.len() + path.len(), text, path) {
                    return Err(self.wrong(id, self.json.token_start(), cause));
                }
                let leaf = self.text_leaf(&scalar);
                let Leaf::Extra(own) = self.extra(path) else {
                    return Ok(());
                };
                self.push(Root::Words, Path::Field(id), leaf);
                self.push(Root::Words, Path::Own(own), leaf);
                Ok(())
            }
        }
    }

    /// The value of a point, or of many.
    fn point(&mut self, id: SlotId, token: &Token<'a>) -> Result<()> {
        let at = self.json.token_start();
        match token {
            Token::Null => self.null(id),
            Token::Object => {
                let point = self.point_object()?;
                self.take_point(id, at, point)
            }
            Token::Array => {
                let mut first = true;
                let mut numbers = Vec::new();
                while self.element(&mut first)? {
                    let token = self.value()?;
                    match token {
                        Token::Number(number) => numbers.push(number.parse().unwrap_or(f64::NAN)),
                        other => self.point(id, &other)?,
                    }
                }
                match numbers[..] {
                    [] => Ok(()),
                    [lon, lat] | [lon, lat, _] => self.take_point(id, at, Ok((lat, lon))),
                    _ => self.take_point(
                        id,
                        at,
                        Err(Refusal::new(
                            "parse_exception",
                            "[geo_point] field type does not accept more than 3 values",
                        )),
                    ),
                }
            }
            Token::Text(_) => self.scalar(id, token),
            _ => self.take_point(
                id,
                at,
                Err(Refusal::new("parse_exception", "geo_point expected")),
            ),
        }
    }

    /// `{"lat": .., "lon": ..}` or GeoJSON, begun. The JSON itself may be wrong, or what it says.
    fn point_object(&mut self) -> Result<Result<Point, Cause>> {
        let (mut lat, mut lon, mut hash, mut first) = (None, None, None, true);
        let mut coordinates = Vec::new();
        let number = |token: &Token<'_>| text_of(token).trim().parse::<f64>().ok();
        while let Some(key) = self.key(&mut first)? {
            let token = self.value()?;
            match (key.text.as_ref(), &token) {
                ("lat", _) => lat = number(&token),
                ("lon", _) => lon = number(&token),
                ("geohash", Token::Text(text)) => hash = Some(points::from_text(&text.text)),
                ("coordinates", Token::Array) => {
                    let mut first = true;
                    while self.element(&mut first)? {
                        let token = self.value()?;
                        coordinates.push(number(&token).unwrap_or(f64::NAN));
                        self.skip(&token)?;
                    }
                    continue;
                }
                ("type", _) => {}
                _ => {
                    self.skip(&token)?;
                    return Ok(Err(Refusal::new(
                        "parse_exception",
                        "field must be either [lat], [lon], [type], [coordinates], or [geohash]",
                    )));
                }
            }
            self.skip(&token)?;
        }
        if let Some(point) = hash {
            return Ok(point);
        }
        if let [lon, lat] | [lon, lat, _] = coordinates[..] {
            return Ok(Ok((lat, lon)));
        }
        Ok(match (lat, lon) {
            (Some(lat), Some(lon)) => Ok((lat, lon)),
            (None, _) => Err(Refusal::new("parse_exception", "field [lat] missing")),
            (_, None) => Err(Refusal::new("parse_exception", "field [lon] missing")),
        })
    }

    fn take_point(&mut self, id: SlotId, at: usize, point: Result<Point, Cause>) -> Result<()> {
        match point.and_then(|point| self.put_point(id, point)) {
            Err(_) if self.tree.slot(id).field.ignore_malformed => Ok(()),
            Err(cause) => Err(self.wrong(id, at, cause)),
            Ok(()) => Ok(()),
        }
    }

    fn put_point(&mut self, id: SlotId, point: Point) -> Result<(), Cause> {
        let field = &self.tree.slot(id).field;
        let (lat, lon) = points::checked(point, &field.path)?;
        if field.place() != Place::Source {
            self.push(Root::Numbers, Path::Latitude(id), Leaf::Float(lat));
            self.push(Root::Numbers, Path::Longitude(id), Leaf::Float(lon));
        }
        Ok(())
    }

    fn push(&mut self, root: Root, path: Path, leaf: Leaf) {
        self.out.values.entries.push(Entry { root, path, leaf });
    }

    /// A value as a text: where it stands in the source, unless it has escapes.
    fn text_leaf(&mut self, token: &Token<'_>) -> Leaf {
        let (start, text) = match token {
            Token::Text(Text {
                text: Cow::Borrowed(text),
                start,
            }) => (*start, *text),
            Token::Text(text) => return self.extra(&text.text),
            other => (self.json.token_start(), text_of(other)),
        };
        Leaf::Source(span(start, text.len()))
    }

    /// A text that isn't in the source. The last one is often wanted again, for a multi-field.
    fn extra(&mut self, text: &str) -> Leaf {
        let extra = &mut self.out.values.extra;
        if !extra.ends_with(text) {
            extra.push_str(text);
        }
        Leaf::Extra(span(extra.len() - text.len(), text.len()))
    }

    fn fail(&self, reason: impl AsRef<str>) -> Refusal {
        self.fail_at(self.json.token_start(), reason.as_ref())
    }

    fn fail_at(&self, at: usize, reason: &str) -> Refusal {
        let (line, column) = place(self.json.text(), at);
        Refusal::new(
            "document_parsing_exception",
            format!("[{line}:{column}] {reason}"),
        )
    }

    /// As Elasticsearch wraps what its mappers throw.
    fn around(&self, cause: Refusal) -> Refusal {
        self.fail(format!("failed to parse: {}", cause.reason))
            .because(cause)
    }

    fn malformed(&self, malformed: Malformed) -> Refusal {
        let (line, column) = place(self.json.text(), malformed.at);
        let cause = Refusal::new(
            "x_content_parse_exception",
            format!("[{line}:{column}] {}", malformed.reason),
        );
        self.around(cause)
    }

    /// The value from `at` to where the reader is, as messages show it.
    fn preview(&self, at: usize) -> String {
        let value = &self.json.text()[at..self.json.position().max(at)];
        serde_json::from_str::<Value>(value)
            .map_or_else(|_| value.to_owned(), |value| plain(&value))
    }

    /// A value, from `at` to where the reader is, that isn't one of its field.
    fn wrong(&self, id: SlotId, at: usize, cause: Cause) -> Refusal {
        let field = &self.tree.slot(id).field;
        let preview = self.preview(at);
        self.fail_at(
            at,
            &format!(
                "failed to parse field [{}] of type [{}] in document with id '{}'. Preview of field's value: '{preview}'",
                field.path,
                field.kind.name(),
                self.id
            ),
        )
        .because(cause)
    }
}

fn span(start: usize, length: usize) -> Span {
    // A document is shorter than 4 GiB; what is added to it is bounded by its mapping's fields.
    let cut = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        start: cut(start),
        end: cut(start + length),
    }
}

/// A value as the text that it was written as.
fn text_of<'t>(token: &'t Token<'_>) -> &'t str {
    match token {
        Token::Text(text) => &text.text,
        Token::Number(number) => number,
        Token::Bool(true) => "true",
        Token::Bool(false) => "false",
        Token::Null => "null",
        Token::Object | Token::Array => "",
    }
}

/// Whether a text has more than `limit` characters, as Java counts them.
fn is_longer(text: &str, limit: usize) -> bool {
    text.len() > limit && text.encode_utf16().count() > limit
}

fn check_term(length: usize, text: &str, path: &str) -> Result<(), Cause> {
    if length <= TERM_BYTES {
        return Ok(());
    }
    let shown: Vec<_> = text
        .bytes()
        .take(30)
        .map(|b| b.cast_signed().to_string())
        .collect();
    Err(Refusal::illegal_argument(format!(
        "Document contains at least one immense term in field=\"{path}\" (whose UTF8 encoding is longer than the max \
         length {TERM_BYTES}), all of which were skipped.  Please correct the analyzer to not produce such terms.  The \
         prefix of the first immense term is: '[{}]...'",
        shown.join(", ")
    )))
}

fn boolean(token: &Token<'_>) -> Result<bool, Cause> {
    match text_of(token) {
        "true" => Ok(true),
        "false" => Ok(false),
        "" if matches!(token, Token::Text(_)) => Ok(false),
        other => Err(Refusal::illegal_argument(format!(
            "Failed to parse value [{other}] as only [true] or [false] are allowed."
        ))),
    }
}

fn no_date(text: &str, pattern: &str) -> Cause {
    let inner = if pattern.contains("||") || pattern.contains("optional_time") {
        "Failed to parse with all enclosed parsers".to_owned()
    } else {
        format!("Text '{text}' could not be parsed at index 0")
    };
    Refusal::illegal_argument(format!(
        "failed to parse date field [{text}] with format [{pattern}]"
    ))
    .because(Refusal::new("date_time_parse_exception", inner))
}

fn out_of_nanos(text: &str, millis: i64) -> Cause {
    let bound = if millis < 0 {
        "before the epoch in 1970"
    } else {
        "after 2262-04-11T23:47:16.854775807"
    };
    Refusal::illegal_argument(format!(
        "date[{text}] is {bound} and cannot be stored in nanosecond resolution"
    ))
}
