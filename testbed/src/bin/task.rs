//! What `docker run` starts the template's container with, one word a line: options, `--`, command. Its arguments are the
//! template's parameters, NAME=VALUE.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step ends it")]

use testbed::docker::run_arguments;
use testbed::template::Template;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<(&str, &str)> = given.iter().map(|pair| pair.split_once('=').unwrap()).collect();
    let template = Template::new(include_str!("../../../deploy/template.yaml"));
    let stack = template
        .deploy(&given)
        .unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    let definition = stack.resource("TaskDefinition").unwrap();
    let (options, command) = run_arguments(definition.pointer("/ContainerDefinitions/0").unwrap());
    for word in options.into_iter().chain(["--".to_owned()]).chain(command) {
        println!("{word}");
    }
}
