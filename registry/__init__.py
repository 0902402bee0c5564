"""The stock shelf: components that register themselves and use only hydrantic's public API."""
