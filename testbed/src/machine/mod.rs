//! What a machine has too little of.

pub mod cgroup;
pub mod tmpfs;
