"""Wrong credentials are refused at once with 403 to clients that understand it; the right ones pass."""

import pika

from support import Breach, check, check_equal, connect


def run(url):
    connection = connect(url)
    properties = connection._impl.server_properties
    capabilities = properties["capabilities"]
    for name in (
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ):
        check(capabilities.get(name) is True, f"server capability {name} is {capabilities.get(name)!r}, not true")
    version = [int(part) for part in properties["version"].split(".")]
    check_equal(len(version), 3, f"parts of the version {properties['version']!r}")
    connection.close()

    for user, password in (("guest", "wrong"), ("nobody", "guest"), ("", "")):
        try:
            connect(url, credentials=pika.PlainCredentials(user, password)).close()
        except pika.exceptions.ProbableAuthenticationError as refused:
            check(
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                "For details see the broker logfile." in str(refused),
                f"text of the refusal: {refused!r}",
            )
            continue
        raise Breach(f"user {user!r} with password {password!r} was let in")
