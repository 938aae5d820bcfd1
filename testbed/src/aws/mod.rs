//! Stand-ins for what AWS answers.

pub mod bucket;
pub mod docker;
pub mod fargate;
pub mod ldap;
pub mod policy;
pub mod secrets;
pub mod states;
pub mod template;
