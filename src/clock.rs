//! Moments in a time zone, and the window that a run has to end in.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use serde::{Serialize, Serializer};

/// The time zone that moments are told in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clock(TimeZone);

/// The end of the window, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// The first such time of day after the run has begun.
    Daily(Time),
    /// A moment of the clock's zone.
    Local(DateTime),
    At(Timestamp),
}

impl Clock {
    /// That of a zone's name, such as Europe/Berlin; the error is for the command line.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        TimeZone::get(name)
            .map(Self)
            .map_err(|error| format!("{error}: a name such as UTC or Europe/Berlin"))
    }

    /// Its name.
    pub(crate) fn zone(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    fn here(&self, moment: Timestamp) -> ZonedDateTime {
        moment.to_zoned_datetime(self.0.clone())
    }

    /// `Sat 03:40`.
    pub(crate) fn moment(&self, moment: Timestamp) -> String {
        self.here(moment).strftime("%a %H:%M").to_string()
    }

    /// A mark of a scale that spans so many seconds.
    pub(crate) fn tick(&self, moment: Timestamp, seconds: f64) -> String {
        let form = match seconds {
            ..600.0 => "%H:%M:%S",
            ..172_800.0 => "%H:%M",
            _ => "%a %d",
        };
        self.here(moment).strftime(form).to_string()
    }

    /// `2026-12-05 03:40:12 +01:00`.
    pub(crate) fn exact(&self, moment: Timestamp) -> String {
        self.here(moment).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }
}

impl Serialize for Clock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.zone())
    }
}

impl Window {
    /// `06:00`, `2026-12-06T06:00`, or `2026-12-06T06:00+01:00`; the error is for the command line.
    pub(crate) fn named(text: &str) -> Result<Self, String> {
        let daily = || text.parse().map(Self::Daily).ok();
        let local = || text.parse().map(Self::Local).ok();
        let at = text.parse().map(Self::At).ok();
        at.or_else(local).or_else(daily).ok_or_else(|| {
            "is neither a time of day such as 06:00 nor one such as 2026-12-06T06:00".to_owned()
        })
    }

    /// When it ends for a run that has begun then.
    pub(crate) fn end(self, clock: &Clock, began: Timestamp) -> Option<Timestamp> {
        let began = clock.here(began);
        let there = |local: DateTime| local.to_zoned_datetime(clock.0.clone()).ok();
        let end = match self {
            Self::At(end) => return Some(end),
            Self::Local(end) => there(end)?,
            Self::Daily(time) => {
                let today = there(began.date().to_datetime(time))?;
                if today > began {
                    today
                } else {
                    there(began.date().checked_add(1.day()).ok()?.to_datetime(time))?
                }
            }
        };
        Some(end.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_moment_of_its_zone() {
        // The clocks go back in Berlin at 03:00 of that Sunday.
        let began = "2026-10-24T20:00:00Z";
        for (zone, window, end) in [
            ("UTC", "06:00", "2026-10-25T06:00:00Z"),
            ("UTC", "20:00", "2026-10-25T20:00:00Z"),
            ("UTC", "20:01", "2026-10-24T20:01:00Z"),
            ("Europe/Berlin", "06:00", "2026-10-25T05:00:00Z"),
            ("Europe/Berlin", "23:30", "2026-10-24T21:30:00Z"),
            ("Europe/Berlin", "2026-10-25T06:00", "2026-10-25T05:00:00Z"),
            (
                "Europe/Berlin",
                "2026-10-25T06:00:00+01:00",
                "2026-10-25T05:00:00Z",
            ),
            ("Europe/Berlin", "2026-10-25T06:00Z", "2026-10-25T06:00:00Z"),
        ] {
            let clock = Clock::named(zone).unwrap();
            let found = Window::named(window).unwrap().end(&clock, began.parse().unwrap());
            assert_eq!(found.unwrap().to_string(), end, "{zone} {window}");
        }
        for text in ["", "6", "25:00", "tomorrow", "06:00 "] {
            assert!(Window::named(text).is_err(), "{text}");
        }
        assert!(Clock::named("Mars/Olympus").is_err());
    }
}
