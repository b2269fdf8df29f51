"""What of a report is taken elsewhere: Markdown, LaTeX, CSV, Parquet, and figures as PDF.

document: the tables and their words, which Markdown and LaTeX write down and add nothing to, so
that they cannot differ. csv_text: the answer, unrounded to six figures. parquet: tidy frames.
pdf: the figures of the page.
"""
