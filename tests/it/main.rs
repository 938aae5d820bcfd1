//! The real executable against real servers: exit codes, log records, and what is in the target.
#![expect(clippy::unwrap_used, reason = "a failed setup step is a failed test")]

mod cut;
mod rig;
mod slow;

mod attacks;
mod aws;
mod changes;
mod connecting;
mod copy;
mod drift;
mod failures;
mod faults;
mod features;
mod finalize;
mod floors;
mod foreseen;
mod going_live;
mod iam;
mod language;
mod ledger;
mod load;
mod machine;
mod names;
mod order;
mod plan;
mod prepare;
mod privileges;
mod queries;
mod records;
mod refresh;
mod report;
mod reruns;
mod resume;
mod signals;
mod smoke;
mod streams;
mod supply;
mod template;
mod terraform;
mod verify;
