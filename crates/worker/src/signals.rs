//! How a process is asked to end.

/// Waits for SIGTERM or SIGINT (Ctrl-C): what [`Worker::shutdown`](crate::Worker::shutdown) usually gets.
///
/// Where a signal cannot be listened to, it counts as never coming.
pub async fn signals() {
    tokio::select! {
        () = interrupt() => tracing::info!("interrupted: ending"),
        () = terminate() => tracing::info!("told to terminate: ending"),
    }
}

async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!("cannot listen for Ctrl-C: {error}");
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => {
            tracing::error!("cannot listen for SIGTERM: {error}");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}
