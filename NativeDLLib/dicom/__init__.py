"""Series read into images with checked geometry, and segmentations written as DICOM SEG."""
