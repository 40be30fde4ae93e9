//! The classes, methods and constants that scripts may use: everything else is refused by name.

use chrono::Weekday;

use super::syntax::{Class, Type};

macro_rules! methods {
    ($($variant:ident $name:literal $from:literal ..= $to:literal,)*) => {
        /// A method by its name; which object has it is seen when the script runs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Method { $($variant,)* }

        impl Method {
            /// The method of this name, if it takes so many arguments.
            pub fn of(name: &str, arguments: usize) -> Option<Self> {
                match name {
                    $($name if ($from..=$to).contains(&arguments) => Some(Self::$variant),)*
                    _ => None,
                }
            }

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

methods! {
    Add "add" 1..=2,
    AddAll "addAll" 1..=1,
    Between "between" 2..=2,
    BooleanValue "booleanValue" 0..=0,
    CharAt "charAt" 1..=1,
    CompareTo "compareTo" 1..=1,
    CompareToIgnoreCase "compareToIgnoreCase" 1..=1,
    Concat "concat" 1..=1,
    Contains "contains" 1..=1,
    ContainsKey "containsKey" 1..=1,
    DoubleValue "doubleValue" 0..=0,
    End "end" 0..=1,
    EndsWith "endsWith" 1..=1,
    Equals "equals" 1..=1,
    EqualsIgnoreCase "equalsIgnoreCase" 1..=1,
    Extract "extract" 1..=1,
    Find "find" 0..=0,
    FloatValue "floatValue" 0..=0,
    Format "format" 1..=1,
    Get "get" 1..=2,
    GetDayOfMonth "getDayOfMonth" 0..=0,
    GetDayOfWeek "getDayOfWeek" 0..=0,
    GetDayOfWeekEnum "getDayOfWeekEnum" 0..=0,
    GetDayOfYear "getDayOfYear" 0..=0,
    GetDisplayName "getDisplayName" 2..=2,
    GetEpochSecond "getEpochSecond" 0..=0,
    GetHour "getHour" 0..=0,
    GetHourOfDay "getHourOfDay" 0..=0,
    GetLength "getLength" 0..=0,
    GetMillis "getMillis" 0..=0,
    GetMillisOfDay "getMillisOfDay" 0..=0,
    GetMillisOfSecond "getMillisOfSecond" 0..=0,
    GetMinute "getMinute" 0..=0,
    GetMinuteOfDay "getMinuteOfDay" 0..=0,
    GetMinuteOfHour "getMinuteOfHour" 0..=0,
    GetMonthOfYear "getMonthOfYear" 0..=0,
    GetMonthValue "getMonthValue" 0..=0,
    GetNano "getNano" 0..=0,
    GetOrDefault "getOrDefault" 2..=2,
    GetSecond "getSecond" 0..=0,
    GetSecondOfDay "getSecondOfDay" 0..=0,
    GetSecondOfMinute "getSecondOfMinute" 0..=0,
    GetValue "getValue" 0..=0,
    GetValues "getValues" 0..=0,
    GetYear "getYear" 0..=0,
    Group "group" 0..=1,
    HashCode "hashCode" 0..=0,
    IndexOf "indexOf" 1..=2,
    IntValue "intValue" 0..=0,
    IsAfter "isAfter" 1..=1,
    IsBefore "isBefore" 1..=1,
    IsEmpty "isEmpty" 0..=0,
    IsEqual "isEqual" 1..=1,
    Join "join" 1..=1,
    KeySet "keySet" 0..=0,
    LastIndexOf "lastIndexOf" 1..=2,
    Length "length" 0..=0,
    LongValue "longValue" 0..=0,
    Matcher "matcher" 1..=1,
    Matches "matches" 0..=0,
    MinusDays "minusDays" 1..=1,
    MinusHours "minusHours" 1..=1,
    MinusMillis "minusMillis" 1..=1,
    MinusMinutes "minusMinutes" 1..=1,
    MinusMonths "minusMonths" 1..=1,
    MinusNanos "minusNanos" 1..=1,
    MinusSeconds "minusSeconds" 1..=1,
    MinusWeeks "minusWeeks" 1..=1,
    MinusYears "minusYears" 1..=1,
    Name "name" 0..=0,
    Ordinal "ordinal" 0..=0,
    PlusDays "plusDays" 1..=1,
    PlusHours "plusHours" 1..=1,
    PlusMillis "plusMillis" 1..=1,
    PlusMinutes "plusMinutes" 1..=1,
    PlusMonths "plusMonths" 1..=1,
    PlusNanos "plusNanos" 1..=1,
    PlusSeconds "plusSeconds" 1..=1,
    PlusWeeks "plusWeeks" 1..=1,
    PlusYears "plusYears" 1..=1,
    Put "put" 2..=2,
    Remove "remove" 1..=1,
    Replace "replace" 2..=2,
    Set "set" 2..=2,
    Size "size" 0..=0,
    Split "split" 1..=1,
    SplitOnToken "splitOnToken" 1..=2,
    Start "start" 0..=1,
    StartsWith "startsWith" 1..=2,
    Substring "substring" 1..=2,
    ToEpochMilli "toEpochMilli" 0..=0,
    ToEpochSecond "toEpochSecond" 0..=0,
    ToInstant "toInstant" 0..=0,
    ToLowerCase "toLowerCase" 0..=0,
    ToString "toString" 0..=0,
    ToUpperCase "toUpperCase" 0..=0,
    Trim "trim" 0..=0,
    TruncatedTo "truncatedTo" 1..=1,
    Values "values" 0..=0,
    WithZoneSameInstant "withZoneSameInstant" 1..=1,
}

impl Method {
    /// What gives the property of this name.
    pub fn getter(property: &str) -> Option<Self> {
        let mut chars = property.chars();
        let first = chars.next()?.to_ascii_uppercase();
        let rest = chars.as_str();
        Self::of(&format!("get{first}{rest}"), 0)
            .or_else(|| Self::of(&format!("is{first}{rest}"), 0))
    }
}

macro_rules! statics {
    ($($variant:ident $class:literal $name:literal ($($parameter:ident),*) $ty:ident,)*) => {
        /// A function of a class.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Static { $($variant,)* }

        impl Static {
            pub fn of(class: &str, name: &str, arguments: usize) -> Option<Self> {
                $(if class == $class && name == $name && Self::$variant.parameters().len() == arguments {
                    return Some(Self::$variant);
                })*
                None
            }

            pub fn parameters(self) -> &'static [Type] {
                match self { $(Self::$variant => &[$(Type::$parameter,)*],)* }
            }

            pub fn ty(self) -> Type {
                match self { $(Self::$variant => Type::$ty,)* }
            }
        }
    };
}

statics! {
    Abs "Math" "abs" (Double) Double,
    Acos "Math" "acos" (Double) Double,
    Asin "Math" "asin" (Double) Double,
    Atan "Math" "atan" (Double) Double,
    Atan2 "Math" "atan2" (Double, Double) Double,
    Cbrt "Math" "cbrt" (Double) Double,
    Ceil "Math" "ceil" (Double) Double,
    Cos "Math" "cos" (Double) Double,
    Cosh "Math" "cosh" (Double) Double,
    Exp "Math" "exp" (Double) Double,
    Expm1 "Math" "expm1" (Double) Double,
    Floor "Math" "floor" (Double) Double,
    Hypot "Math" "hypot" (Double, Double) Double,
    Log "Math" "log" (Double) Double,
    Log10 "Math" "log10" (Double) Double,
    Log1p "Math" "log1p" (Double) Double,
    Max "Math" "max" (Double, Double) Double,
    Min "Math" "min" (Double, Double) Double,
    Pow "Math" "pow" (Double, Double) Double,
    Rint "Math" "rint" (Double) Double,
    Round "Math" "round" (Double) Long,
    Signum "Math" "signum" (Double) Double,
    Sin "Math" "sin" (Double) Double,
    Sinh "Math" "sinh" (Double) Double,
    Sqrt "Math" "sqrt" (Double) Double,
    Tan "Math" "tan" (Double) Double,
    Tanh "Math" "tanh" (Double) Double,
    ToDegrees "Math" "toDegrees" (Double) Double,
    ToRadians "Math" "toRadians" (Double) Double,
    IntegerCompare "Integer" "compare" (Int, Int) Int,
    IntegerMax "Integer" "max" (Int, Int) Int,
    IntegerMin "Integer" "min" (Int, Int) Int,
    IntegerParse "Integer" "parseInt" (String) Int,
    IntegerParseRadix "Integer" "parseInt" (String, Int) Int,
    IntegerText "Integer" "toString" (Int) String,
    IntegerValue "Integer" "valueOf" (Int) Def,
    LongCompare "Long" "compare" (Long, Long) Int,
    LongMax "Long" "max" (Long, Long) Long,
    LongMin "Long" "min" (Long, Long) Long,
    LongParse "Long" "parseLong" (String) Long,
    LongParseRadix "Long" "parseLong" (String, Int) Long,
    LongText "Long" "toString" (Long) String,
    LongValue "Long" "valueOf" (Long) Def,
    DoubleCompare "Double" "compare" (Double, Double) Int,
    DoubleIsFinite "Double" "isFinite" (Double) Boolean,
    DoubleIsInfinite "Double" "isInfinite" (Double) Boolean,
    DoubleIsNaN "Double" "isNaN" (Double) Boolean,
    DoubleMax "Double" "max" (Double, Double) Double,
    DoubleMin "Double" "min" (Double, Double) Double,
    DoubleParse "Double" "parseDouble" (String) Double,
    DoubleText "Double" "toString" (Double) String,
    DoubleValue "Double" "valueOf" (Double) Def,
    FloatParse "Float" "parseFloat" (String) Float,
    BooleanParse "Boolean" "parseBoolean" (String) Boolean,
    BooleanText "Boolean" "toString" (Boolean) String,
    IsDigit "Character" "isDigit" (Int) Boolean,
    IsLetter "Character" "isLetter" (Int) Boolean,
    IsLetterOrDigit "Character" "isLetterOrDigit" (Int) Boolean,
    IsWhitespace "Character" "isWhitespace" (Int) Boolean,
    StringValue "String" "valueOf" (Def) String,
    StringJoin "String" "join" (String, Def) String,
    ObjectsEquals "Objects" "equals" (Def, Def) Boolean,
    ZonedParse "ZonedDateTime" "parse" (String) Def,
    ZonedOfInstant "ZonedDateTime" "ofInstant" (Def, Def) Def,
    InstantOfMilli "Instant" "ofEpochMilli" (Long) Def,
    InstantOfSecond "Instant" "ofEpochSecond" (Long) Def,
    InstantParse "Instant" "parse" (String) Def,
    ZoneOf "ZoneId" "of" (String) Def,
    ZoneOffsetOf "ZoneOffset" "of" (String) Def,
    PatternOf "DateTimeFormatter" "ofPattern" (String) Def,
    Dissect "" "dissect" (String) Def,
}

// `dissect('%{a} %{b}')` is of no class.

/// How `getDisplayName` writes a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Full,
    Short,
    Narrow,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Nanos,
    Micros,
    Millis,
    Seconds,
    Minutes,
    Hours,
    HalfDays,
    Days,
    Weeks,
    Months,
    Years,
}

/// A constant of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Constant {
    Int(i32),
    Long(i64),
    Double(f64),
    Bool(bool),
    Day(Weekday),
    Style(Style),
    Unit(Unit),
    Utc,
    /// English; the only one.
    Locale,
}

impl Constant {
    pub fn of(class: &str, name: &str) -> Option<Self> {
        Some(match (class, name) {
            ("Math", "PI") => Self::Double(std::f64::consts::PI),
            ("Math", "E") => Self::Double(std::f64::consts::E),
            ("Integer", "MAX_VALUE") => Self::Int(i32::MAX),
            ("Integer", "MIN_VALUE") => Self::Int(i32::MIN),
            ("Long", "MAX_VALUE") => Self::Long(i64::MAX),
            ("Long", "MIN_VALUE") => Self::Long(i64::MIN),
            ("Double", "MAX_VALUE") => Self::Double(f64::MAX),
            ("Double", "MIN_VALUE") => Self::Double(f64::from_bits(1)),
            ("Double", "NaN") => Self::Double(f64::NAN),
            ("Double", "POSITIVE_INFINITY") => Self::Double(f64::INFINITY),
            ("Double", "NEGATIVE_INFINITY") => Self::Double(f64::NEG_INFINITY),
            ("Boolean", "TRUE") => Self::Bool(true),
            ("Boolean", "FALSE") => Self::Bool(false),
            ("TextStyle", "FULL") => Self::Style(Style::Full),
            ("TextStyle", "SHORT") => Self::Style(Style::Short),
            ("TextStyle", "NARROW") => Self::Style(Style::Narrow),
            ("Locale", "ROOT" | "ENGLISH" | "US" | "UK") => Self::Locale,
            ("ZoneOffset", "UTC") => Self::Utc,
            ("DayOfWeek", name) => Self::Day(match name {
                "MONDAY" => Weekday::Mon,
                "TUESDAY" => Weekday::Tue,
                "WEDNESDAY" => Weekday::Wed,
                "THURSDAY" => Weekday::Thu,
                "FRIDAY" => Weekday::Fri,
                "SATURDAY" => Weekday::Sat,
                "SUNDAY" => Weekday::Sun,
                _ => return None,
            }),
            ("ChronoUnit", name) => Self::Unit(match name {
                "NANOS" => Unit::Nanos,
                "MICROS" => Unit::Micros,
                "MILLIS" => Unit::Millis,
                "SECONDS" => Unit::Seconds,
                "MINUTES" => Unit::Minutes,
                "HOURS" => Unit::Hours,
                "HALF_DAYS" => Unit::HalfDays,
                "DAYS" => Unit::Days,
                "WEEKS" => Unit::Weeks,
                "MONTHS" => Unit::Months,
                "YEARS" => Unit::Years,
                _ => return None,
            }),
            _ => return None,
        })
    }

    pub fn ty(self) -> Type {
        match self {
            Self::Int(_) => Type::Int,
            Self::Long(_) => Type::Long,
            Self::Double(_) => Type::Double,
            Self::Bool(_) => Type::Boolean,
            _ => Type::Def,
        }
    }
}

/// Classes that have functions or constants.
pub(super) fn is_class(name: &str) -> bool {
    matches!(
        name,
        "Math"
            | "Integer"
            | "Long"
            | "Double"
            | "Float"
            | "Boolean"
            | "Character"
            | "String"
            | "Objects"
            | "ZonedDateTime"
            | "Instant"
            | "ZoneId"
            | "ZoneOffset"
            | "DayOfWeek"
            | "ChronoUnit"
            | "TextStyle"
            | "Locale"
            | "DateTimeFormatter"
    )
}

/// The type of a declaration or a cast.
pub(super) fn type_of(name: &str) -> Option<Type> {
    Some(match name {
        "boolean" => Type::Boolean,
        "char" => Type::Char,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "String" => Type::String,
        "List" | "ArrayList" => Type::List,
        "Map" | "HashMap" => Type::Map,
        "def" | "Object" | "Number" | "Integer" | "Long" | "Float" | "Double" | "Boolean"
        | "Character" | "CharSequence" | "ZonedDateTime" | "Instant" | "DayOfWeek" | "Pattern"
        | "Matcher" | "ZoneId" | "ChronoUnit" | "DateTimeFormatter" => Type::Def,
        _ => return None,
    })
}

/// The class that `instanceof` asks for.
pub(super) fn class_of(name: &str) -> Option<Class> {
    Some(match name {
        "def" | "Object" => Class::Any,
        "String" | "CharSequence" => Class::Text,
        "Number" => Class::Number,
        "Integer" | "int" => Class::Int,
        "Long" | "long" => Class::Long,
        "Float" | "float" => Class::Float,
        "Double" | "double" => Class::Double,
        "Boolean" | "boolean" => Class::Boolean,
        "Character" | "char" => Class::Character,
        "List" | "ArrayList" | "Collection" => Class::List,
        "Map" | "HashMap" => Class::Map,
        "ZonedDateTime" => Class::Zoned,
        "Instant" => Class::Instant,
        _ => return None,
    })
}
