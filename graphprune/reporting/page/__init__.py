"""A report as a page to look at: one HTML file with its pictures in it, which loads nothing and runs nothing."""

from graphprune.reporting.page.render import page, write_page

__all__ = ["page", "write_page"]
