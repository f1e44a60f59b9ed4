"""Importers of files: Fava's page for imports needs one at least. This one takes no file, so that all are filed by hand."""

from beangulp.importer import Importer


class NoFile(Importer):
    """Importer that takes no file."""

    def identify(self, filepath):
        return False

    def account(self, filepath):
        return ""


CONFIG = [NoFile()]
