//! `/metrics`: the numbers of this server for Prometheus.

mod broker;
mod exposition;
mod process;
mod tasks;

use http_api::Page;

use crate::node::Node;
use exposition::Exposition;

/// All numbers, under RabbitMQ's names where it has them, so that its dashboards work.
pub(super) fn page(node: &Node) -> Page {
    let mut exposition = Exposition::default();
    identity(&mut exposition, node);
    broker::write(&mut exposition, node);
    process::write(&mut exposition);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Page { status: 200, content_type, body: exposition.into_text().into() }
}

/// RabbitMQ's dashboards join every series with these two, and stay blank without them.
fn identity(exposition: &mut Exposition, node: &Node) {
    let name = node.cluster_name.as_str();
    exposition.gauge("rabbitmq_identity_info", "Who this broker is.").sample(
        &[
            ("rabbitmq_node", name),
            ("rabbitmq_cluster", name),
            ("rabbitmq_cluster_permanent_id", name),
            ("rabbitmq_endpoint", "aggregated"),
        ],
        1,
    );
    exposition.gauge("rabbitmq_build_info", "What this broker is.").sample(
        &[
            ("rabbitmq_version", &node.amqp.version),
            ("prometheus_plugin_version", env!("CARGO_PKG_VERSION")),
            ("prometheus_client_version", env!("CARGO_PKG_VERSION")),
            ("erlang_version", "none"),
            ("product_name", &node.amqp.product),
            ("product_version", env!("CARGO_PKG_VERSION")),
        ],
        1,
    );
}
