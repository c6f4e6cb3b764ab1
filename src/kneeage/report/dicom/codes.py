"""The coded words of the objects: standard codes where the standard has them, our own scheme where it has none.

Source: DICOM PS3.16 (2024), context groups 7150, 7162, 7181, 7464, 100 and 244, as carried by pydicom.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from kneeage.core.anatomy import LABEL_SNOMED, Label, Side

# A private scheme is named 99 and up to 14 characters. Source: DICOM PS3.16 section 8.2.
OWN_SCHEME = "99KNEEAGE"
OWN_SCHEME_NAME = "kneeage: measurements and statements about growth plates"

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
# Source: SNOMED CT; the terms are also those of the HL7 radiotherapy guide's table of TG-263 structures.
EPIPHYSEAL_PLATE = Code("711190000", "SCT", "Structure of epiphyseal plate")
DISTAL_FEMORAL_EPIPHYSIS = Code("24571007", "SCT", "Structure of distal epiphysis of femur")
KNEE = Code("72696002", "SCT", "Knee")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
MRI = Code("25056-3", "LN", "MRI unspecified body region")
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
DEVICE = Code("121007", "DCM", "Device")
COMMENT = Code("121106", "DCM", "Comment")

AREA = Code("42798000", "SCT", "Area")
VOLUME = Code("118565006", "SCT", "Volume")
THICKNESS = Code("59089-3", "LN", "Thickness")
MEDIAN = Code("373099004", "SCT", "Median")
YES = Code("373066001", "SCT", "Yes")
NO = Code("373067005", "SCT", "No")

MILLIMETRE = Code("mm", "UCUM", "mm")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETRE = Code("mm3", "UCUM", "cubic millimeter")
RATIO = Code("{ratio}", "UCUM", "ratio")
NO_UNITS = Code("1", "UCUM", "no units")
YEAR = Code("a", "UCUM", "year")

LATERALITY = {Side.LEFT: Code("7771000", "SCT", "Left"), Side.RIGHT: Code("24028007", "SCT", "Right")}

OPENNESS = Code("OPENNESS", OWN_SCHEME, "Open share of the growth plate's site")
SITE_SEEN = Code("SITE_SEEN", OWN_SCHEME, "Site of the growth plate was seen, open or closed")
STAGE_DEDOUIT = Code("STAGE_DEDOUIT", OWN_SCHEME, "Skeletal stage after Dedouit")
STAGE_SCHMELING = Code("STAGE_SCHMELING", OWN_SCHEME, "Skeletal stage after Schmeling and Kellinghaus")
EXAMINATION = Code("EXAMINATION", OWN_SCHEME, "Age examination of the knee")
OUTCOME = Code("OUTCOME", OWN_SCHEME, "Outcome of the examination")
AGE_ESTIMATE = Code("AGE_ESTIMATE", OWN_SCHEME, "Estimate of the chronological age")
MOST_PROBABLE_AGE = Code("AGE_MODE", OWN_SCHEME, "Most probable chronological age")
AGE_INTERVAL = Code("AGE_INTERVAL", OWN_SCHEME, "Interval of the chronological age")
INTERVAL_LEVEL = Code("INTERVAL_LEVEL", OWN_SCHEME, "Probability that the interval claims")
INTERVAL_LOW = Code("INTERVAL_LOW", OWN_SCHEME, "Lower end of the age interval")
INTERVAL_HIGH = Code("INTERVAL_HIGH", OWN_SCHEME, "Upper end of the age interval")
AGE_THRESHOLD = Code("AGE_THRESHOLD", OWN_SCHEME, "Age threshold")
AT_LEAST_PROBABILITY = Code("P_AT_LEAST", OWN_SCHEME, "Probability of having reached the age threshold")
DECISION = Code("DECISION", OWN_SCHEME, "Decision about the age threshold")

_PLATES = (
    Label.DISTAL_FEMUR_PHYSIS,
    Label.PROXIMAL_TIBIA_PHYSIS,
    Label.DISTAL_FEMUR_PHYSEAL_SCAR,
    Label.PROXIMAL_TIBIA_PHYSEAL_SCAR,
    Label.TIBIAL_TUBEROSITY_PHYSIS,
)


def region_code(label: Label) -> Code:
    """Name the bone that a label lies in."""
    value, meaning = LABEL_SNOMED[label]
    return Code(value, "SCT", meaning)


def structure_code(label: Label) -> Code:
    """Name what a label shows, as closely as the terminology does; the segment's label says the rest."""
    if label in _PLATES:
        return EPIPHYSEAL_PLATE
    return DISTAL_FEMORAL_EPIPHYSIS if label is Label.DISTAL_FEMUR_EPIPHYSIS else region_code(label)


def own_code(value: str, prefix: str = "") -> Code:
    """Code a value of the result in our own scheme, such as a decision.

    Args:
        value: The value as the result has it, at most 16 characters with its prefix.
        prefix: What sets it apart from equal values of another meaning, such as a grading.
    """
    return Code(f"{prefix}{value}".upper(), OWN_SCHEME, value.replace("_", " "))
