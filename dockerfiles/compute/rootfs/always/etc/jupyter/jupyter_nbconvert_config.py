"""What notebooks can be exported to: what has its programs here. JupyterLab's menu and `jupyter nbconvert` offer it."""

import shutil

import nbconvert.exporters
from carbon_jupyter.pdf import BROWSER, BrowserPDFExporter

c = get_config()  # noqa: F821 - Jupyter defines it

# What is off is off for its subclasses, too, unless they are on.
has_pandoc = shutil.which("pandoc") is not None
c.ASCIIDocExporter.enabled = has_pandoc
c.LatexExporter.enabled = has_pandoc
c.RSTExporter.enabled = has_pandoc
c.QtPDFExporter.enabled = False
c.QtPNGExporter.enabled = False
c.WebPDFExporter.enabled = False
c.PDFExporter.enabled = has_pandoc and shutil.which("xelatex") is not None
if not c.PDFExporter.enabled and shutil.which(BROWSER):
    # The name `pdf` means what nbconvert.exporters calls PDFExporter.
    nbconvert.exporters.PDFExporter = BrowserPDFExporter
    c.BrowserPDFExporter.enabled = True
# Of no use without a template of one's own.
c.TemplateExporter.enabled = False
for name in ("HTML", "Markdown", "Python", "Script", "Slides"):
    c[f"{name}Exporter"].enabled = True
