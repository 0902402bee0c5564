"""A component whose module cannot be imported."""

from hydrantic import register_model
from no_such_library import Network  # type: ignore[import-not-found]  # that is the point

register_model("broken")(Network)


@register_model("broken")
class Broken(Network):  # type: ignore[misc]  # as above
    """Never defined."""
