//! One event as one line.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::Event;
use tracing::field::{Field, Visit};

use super::{Level, Role};

/// What stands before the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) pid: u32,
    pub(super) role: u8,
    pub(super) unix_ms: i64,
}

/// Redis's layout, ended by a newline.
pub(super) fn text(head: Head, event: &Event<'_>) -> String {
    let mark = match Level::of(*event.metadata().level()) {
        Level::Debug => '.',
        Level::Verbose => '-',
        Level::Notice => '*',
        Level::Warning => '#',
    };
    let time = Time::from_unix_ms(head.unix_ms);
    let mut line = format!(
        "{}:{} {} {mark} ",
        head.pid,
        char::from(head.role),
        time.redis()
    );
    let mut fields = TextFields {
        message: String::new(),
        rest: String::new(),
    };
    event.record(&mut fields);
    push_escaped(&mut line, &fields.message);
    push_escaped(&mut line, &fields.rest);
    line.push('\n');
    line
}

/// One JSON object, ended by a newline.
pub(super) fn json(head: Head, event: &Event<'_>) -> String {
    let metadata = event.metadata();
    let mut fields = JsonFields(Map::new());
    let time = Time::from_unix_ms(head.unix_ms);
    fields.0.insert("time".to_owned(), time.iso8601().into());
    fields.0.insert(
        "level".to_owned(),
        Level::of(*metadata.level()).name().into(),
    );
    fields.0.insert("pid".to_owned(), head.pid.into());
    fields
        .0
        .insert("role".to_owned(), Role::name(head.role).into());
    fields
        .0
        .insert("target".to_owned(), metadata.target().into());
    event.record(&mut fields);
    let mut line = Value::Object(fields.0).to_string();
    line.push('\n');
    line
}

/// A line stays one line, and a terminal shows it as it is.
fn push_escaped(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            c if c.is_control() && c != '\t' => {
                let _ = write!(line, "\\x{:02x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
}

struct TextFields {
    message: String,
    rest: String,
}

impl Visit for TextFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.rest, " {}={value:?}", field.name())
        };
    }
}

struct JsonFields(Map<String, Value>);

impl JsonFields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for JsonFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

/// A moment in the calendar, in UTC: log lines of machines in different zones sort together.
struct Time {
    year: i64,
    month: usize,
    day: i64,
    second_of_day: i64,
    millisecond: i64,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl Time {
    fn from_unix_ms(unix_ms: i64) -> Self {
        let seconds = unix_ms.div_euclid(1000);
        let (mut day, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Count from 1 March of year 0, so that a leap day is the last of its year and 400 years
        // are always 146097 days.
        day += 719_468;
        let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March have 153 days in every five.
        let march_month = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = (march_month + 2) % 12;
        let year = era * 400 + year_of_era + i64::from(march_month >= 10);
        Self {
            year,
            month: usize::try_from(month).unwrap_or(0),
            day: day_of_month,
            second_of_day,
            millisecond: unix_ms.rem_euclid(1000),
        }
    }

    fn clock(&self) -> String {
        let (minute_of_day, second) = (self.second_of_day / 60, self.second_of_day % 60);
        let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
        format!("{hour:02}:{minute:02}:{second:02}.{:03}", self.millisecond)
    }

    fn redis(&self) -> String {
        let month = MONTHS.get(self.month).copied().unwrap_or("???");
        format!("{:02} {month} {} {}", self.day, self.year, self.clock())
    }

    fn iso8601(&self) -> String {
        format!(
            "{:04}-{:02}-{:02}T{}Z",
            self.year,
            self.month + 1,
            self.day,
            self.clock()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_right() {
        // Checked with `date -u -d @N`.
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Time::from_unix_ms(unix_ms).iso8601(), expected);
        }
        assert_eq!(
            Time::from_unix_ms(951_782_400_005).redis(),
            "29 Feb 2000 00:00:00.005"
        );
    }
}
