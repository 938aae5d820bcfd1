//! The real executable against real servers: exit codes, log records, and what is in the target.

mod rig;
mod slow;

mod failures;
mod features;
mod load;
mod names;
mod privileges;
mod reruns;
mod signals;
mod streams;
