"""The items of TRIPOD+AI, abridged.

The full text is in Collins et al.: TRIPOD+AI statement: updated guidance for reporting clinical
prediction models that use regression or machine learning methods. BMJ 385, e078378 (2024).
"""

from dataclasses import dataclass

SOURCE = "Collins et al., BMJ 2024;385:e078378"


@dataclass(frozen=True)
class Item:
    """One item of the checklist.

    Attributes:
        number: For example ``12a``.
        section: The section of a report.
        asks: The thing to report, in short.
    """

    number: str
    section: str
    asks: str


ITEMS = tuple(
    Item(*row)
    for row in (
        ("1", "Title", "Development or evaluation of a prediction model, for whom, which outcome"),
        ("2", "Abstract", "An abstract according to TRIPOD+AI for Abstracts"),
        ("3a", "Introduction", "Healthcare context, rationale, existing models"),
        ("3b", "Introduction", "Target population, purpose in the care pathway, intended users"),
        ("3c", "Introduction", "Known health inequalities between groups"),
        ("4", "Introduction", "Objectives: development, evaluation or both"),
        ("5a", "Methods", "Sources of the data of development and evaluation; representativeness"),
        ("5b", "Methods", "Dates: accrual, end of follow-up"),
        ("6a", "Methods", "Setting, number and location of centres"),
        ("6b", "Methods", "Eligibility"),
        ("6c", "Methods", "Treatments received, and how they were handled"),
        ("7", "Methods", "Preparation and quality checks, and whether the same for all groups"),
        ("8a", "Methods", "Outcome, time horizon, how and when assessed, why chosen"),
        ("8b", "Methods", "Who assessed the outcome, if assessment is subjective"),
        ("8c", "Methods", "Blinding of the assessment of the outcome"),
        ("9a", "Methods", "Choice of the predictors"),
        ("9b", "Methods", "Definition of the predictors, how and when measured"),
        ("9c", "Methods", "Who assessed the predictors, if assessment is subjective"),
        ("10", "Methods", "How the sample size was decided, and whether it is sufficient"),
        ("11", "Methods", "Missing data"),
        ("12a", "Methods", "How the data were used and divided"),
        ("12b", "Methods", "How predictors were handled: form, scaling, transformation"),
        ("12c", "Methods", "Type of model, why, all steps of building, internal validation"),
        ("12d", "Methods", "How differences between clusters such as hospitals were handled"),
        ("12e", "Methods", "Measures and plots of performance"),
        ("12f", "Methods", "Updating of the model, such as recalibration"),
        ("12g", "Methods", "How predictions were calculated"),
        ("13", "Methods", "Class imbalance: what was done and why"),
        ("14", "Methods", "Approaches to fairness"),
        ("15", "Methods", "Output, and how thresholds were found"),
        ("16", "Methods", "Differences between the data of development and evaluation"),
        ("17", "Methods", "Ethical approval and consent"),
        ("18a", "Open science", "Funding and the role of the funders"),
        ("18b", "Open science", "Conflicts of interest"),
        ("18c", "Open science", "Protocol"),
        ("18d", "Open science", "Registration"),
        ("18e", "Open science", "Availability of the data"),
        ("18f", "Open science", "Availability of the code"),
        ("19", "Patient and public involvement", "Involvement, or that there was none"),
        ("20a", "Results", "Flow of participants, with and without the outcome"),
        ("20b", "Results", "Characteristics of the participants"),
        ("20c", "Results", "Comparison of the data of development and evaluation"),
        ("21", "Results", "Participants and events in each analysis"),
        ("22", "Results", "The full model, and restrictions of its use"),
        ("23a", "Results", "Performance with intervals, also of key subgroups"),
        ("23b", "Results", "Differences of performance between clusters"),
        ("24", "Results", "Results of updating"),
        ("25", "Discussion", "Interpretation, including fairness"),
        ("26", "Discussion", "Limitations"),
        ("27a", "Discussion", "Poor or missing inputs when the model is used"),
        ("27b", "Discussion", "What users must do, and the expertise they need"),
        ("27c", "Discussion", "Next steps for research"),
    )
)
