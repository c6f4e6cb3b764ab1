"""DICOM objects for an archive: segmentation, measurements, report and preview, in the study of their source series.

World coordinates are turned back into DICOM's LPS only by repeating what the source's own header says.
"""
