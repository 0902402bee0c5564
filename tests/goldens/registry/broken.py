"""A component whose module cannot be imported."""

from no_such_library import Network  # type: ignore[import-not-found]  # that is the point

from hydrantic import register_model

register_model("broken")(Network)


@register_model("broken")
class Broken(Network):  # type: ignore[misc]  # as above
    """Never defined."""
