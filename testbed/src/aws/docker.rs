//! A task definition's container as `docker run` starts it: what ECS makes of it on a host.

use serde_json::Value;

use crate::states::{list, text};

/// Fields that say nothing of how the container runs here.
const ELSEWHERE: [&str; 4] = ["Name", "Image", "Essential", "LogConfiguration"];

/// The options before the image, and the command behind it. Panics at a field that is not known, so that none is left
/// out in silence. A secret is an environment variable that `docker run` takes from its own environment.
#[must_use]
pub fn run_arguments(container: &Value) -> (Vec<String>, Vec<String>) {
    let mut options = Vec::new();
    let mut command = Vec::new();
    for (field, value) in container.as_object().unwrap() {
        match field.as_str() {
            "User" => options.push(format!("--user={}", text(value))),
            "StopTimeout" => options.push(format!("--stop-timeout={value}")),
            "ReadonlyRootFilesystem" => options.push(format!("--read-only={value}")),
            "LinuxParameters" => options.extend(linux(value)),
            "Environment" => {
                for variable in list(value) {
                    let (name, value) = (text(&variable["Name"]), text(&variable["Value"]));
                    options.push(format!("--env={name}={value}"));
                }
            }
            "Secrets" => {
                let names = list(value).iter().map(|secret| text(&secret["Name"]));
                options.extend(names.map(|name| format!("--env={name}")));
            }
            "Command" => command.extend(list(value).iter().map(|word| text(word).to_owned())),
            other => assert!(ELSEWHERE.contains(&other), "{other} is not known"),
        }
    }
    (options, command)
}

fn linux(parameters: &Value) -> Vec<String> {
    let mut options = Vec::new();
    for (field, value) in parameters.as_object().unwrap() {
        match field.as_str() {
            "InitProcessEnabled" => options.push(format!("--init={value}")),
            "Capabilities" => {
                assert!(value.get("Add").is_none(), "{value}");
                let dropped = list(&value["Drop"]).iter().map(text);
                options.extend(dropped.map(|name| format!("--cap-drop={name}")));
            }
            "Tmpfs" => {
                for mount in list(value) {
                    let words: Vec<&str> = list(&mount["MountOptions"]).iter().map(text).collect();
                    let path = text(&mount["ContainerPath"]);
                    options.push(format!(
                        "--tmpfs={path}:{},size={}m",
                        words.join(","),
                        mount["Size"]
                    ));
                }
            }
            other => panic!("{other} is not known"),
        }
    }
    options
}
