//! What tests, demo and bench share: clusters, the demo warehouse, running the worker.
