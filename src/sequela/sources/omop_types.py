"""The type concepts of OMOP: the origin of a row, and so the time it was known.

The vocabulary 'Type Concept' of the OHDSI standardized vocabularies, release of August 2020 and
later: https://ohdsi.github.io/CommonDataModel/cdm54.html (the fields ``..._type_concept_id``).
Older types (38000175...) give the position of a code in a claim, or nothing about the time: they
are in neither list, so their rows are dated by the rule for unknown types.
"""

BILLED_TYPES = {
    32810: "Claim",
    32811: "Claim authorization",
    32812: "Claim discharge record",
    32813: "Claim enrolment record",
    32814: "Cost record",
    32816: "Dental claim",
    32821: "EHR billing record",
    32823: "EHR discharge record",
    32824: "EHR discharge summary",
    32844: "Facility claim",
    32845: "Facility claim detail",
    32846: "Facility claim header",
    32852: "Hospital cost",
    32853: "Inpatient claim",
    32854: "Inpatient claim detail",
    32855: "Inpatient claim header",
    32859: "Outpatient claim",
    32860: "Outpatient claim detail",
    32861: "Outpatient claim header",
    32871: "Professional claim",
    32872: "Professional claim detail",
    32873: "Professional claim header",
    32875: "Provider financial system",
    32881: "Standard algorithm from claims",
    32886: "Vision claim",
    32019: "EHR billing diagnosis",
}
"""The types written when the stay is billed or its discharge is summed up."""

OWN_TYPES = {
    32817: "EHR",
    32818: "EHR administration record",
    32819: "EHR admission note",
    32820: "EHR ancillary report",
    32822: "EHR chief complaint",
    32825: "EHR dispensing record",
    32826: "EHR emergency room note",
    32829: "EHR inpatient note",
    32830: "EHR medication list",
    32831: "EHR note",
    32832: "EHR nursing report",
    32833: "EHR order",
    32834: "EHR outpatient note",
    32835: "EHR Pathology report",
    32836: "EHR physical examination",
    32837: "EHR planned dispensing record",
    32838: "EHR prescription",
    32839: "EHR prescription issue record",
    32840: "EHR problem list",
    32841: "EHR radiology report",
    32842: "EHR referral record",
    32851: "Healthcare professional filled survey",
    32856: "Lab",
    32857: "Mail order record",
    32862: "Patient filled survey",
    32865: "Patient self-report",
    32869: "Pharmacy claim",
    32878: "Reference lab",
    32883: "Survey",
    32884: "Urgent lab",
}
"""The types written in the course of care; a pharmacy claims a drug when it dispenses it."""
