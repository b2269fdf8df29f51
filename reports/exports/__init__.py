"""What of a report is taken elsewhere: Markdown, LaTeX, CSV, and figures as PDF.

document: tables and their words, which Markdown and LaTeX write down and add nothing to, so that
they cannot differ. csv_text: the answer in six figures, of the same table. pdf: the figures of the
page. Parquet takes the frames of `reports.frames` as they are.
"""
