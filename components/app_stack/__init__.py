"""Everything one application owns, from one declaration (APP-01)."""
