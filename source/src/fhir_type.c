/* Which resource a line is: its type and id, and what stands there in the place of one. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "fhir_internal.h"

/* Types of R4, R4B and R5 (hl7.org/fhir, resourcelist): those that are passed over. */
static const char *const types[] = {
    "Account",
    "ActivityDefinition",
    "ActorDefinition",
    "AdministrableProductDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "ArtifactAssessment",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BiologicallyDerivedProductDispense",
    "BodyStructure",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Citation",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "ClinicalUseDefinition",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "ConditionDefinition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceAssociation",
    "DeviceDefinition",
    "DeviceDispense",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUsage",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "EncounterHistory",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceReport",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "FormularyItem",
    "GenomicStudy",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingSelection",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "Ingredient",
    "InsurancePlan",
    "InventoryItem",
    "InventoryReport",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "ManufacturedItemDefinition",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductDefinition",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionIntake",
    "NutritionOrder",
    "NutritionProduct",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "PackagedProductDefinition",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Permission",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RegulatedAuthorization",
    "RelatedPerson",
    "RequestGroup",
    "RequestOrchestration",
    "Requirements",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "SubscriptionStatus",
    "SubscriptionTopic",
    "Substance",
    "SubstanceDefinition",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestPlan",
    "TestReport",
    "TestScript",
    "Transport",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
};

static const char *near_type(const char *type)
{
    const char *near = NULL;
    size_t best = 4; /* more is another word */

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t d = strcasecmp(types[i], type) == 0 ? 0 : fm_text_distance(types[i], type);

        if (d < best && fm_text_is_near(d, types[i])) {
            best = d;
            near = types[i];
        }
    }
    return near;
}

/* An error in the place of what was asked for: "Condition.ndjson" with an OperationOutcome in it. */
static fm_status check_outcome(fm_fhir_place *p, const json_t *resource)
{
    const json_t *issue = json_array_get(json_object_get(resource, "issue"), 0),
                 *said = json_object_get(issue, "diagnostics");
    const char *slash = strrchr(p->name, '/'), *file = slash ? slash + 1 : p->name;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t n = strlen(types[i]);

        if (strncmp(file, types[i], n) == 0 && strchr(".-_", file[n]) &&
            strcmp(types[i], "OperationOutcome") != 0) {
            p->lost = true;
            return fm_fhir_problem(
                p, "issue.diagnostics", json_is_string(said) ? said : NULL,
                "is an error of the server's in the place of the resources; export "
                "them again");
        }
    }
    return FM_OK;
}

static fm_status check_type(fm_fhir_place *p, const json_t *resource, bool *known)
{
    const json_t *v = json_object_get(resource, "resourceType");
    const char *type = json_string_value(v), *near;
    const bool lost = p->lost;
    char what[200];

    p->lost = true;
    if (!v && json_is_array(json_object_get(resource, "output")))
        return fm_fhir_problem(
            p, NULL, NULL,
            "the list of an export's files ($export), not one of them; fetch what "
            "it names: jq -r '.output[].url' FILE");
    if (!v)
        return fm_fhir_problem(p, NULL, NULL,
                               "no FHIR resource: it has no resourceType; a line of a bulk export "
                               "is one whole resource");
    if (!type)
        return fm_fhir_problem(p, "resourceType", v,
                               "must be the resource's type in double quotes, such as \"Patient\"");
    if (strcmp(type, "Bundle") == 0)
        return fm_fhir_problem(p, NULL, NULL,
                               "a Bundle, not a line of a bulk export; take its resources out: jq "
                               "-c '.entry[].resource' BUNDLE >FILE.ndjson");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        *known |= strcmp(type, types[i]) == 0;
    p->lost = !*known;
    if (*known)
        return FM_OK;
    if (!(near = near_type(type))) { /* of a vendor's, or of a later FHIR: not ours to judge */
        p->lost = lost;
        return FM_OK;
    }
    (void)snprintf(what, sizeof what, "is no type of resource in FHIR; did you mean \"%s\"?", near);
    return fm_fhir_problem(p, "resourceType", v, what);
}

static bool is_id(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._", s[i]))
            return false;
    return n > 0 && n <= FM_FHIR_ID_MOST;
}

fm_status fm_fhir_check_head(fm_fhir_place *p, const json_t *resource, bool *known)
{
    static const char *const keys[] = { "resourceType", "id", NULL };
    const json_t *type = json_object_get(resource, "resourceType"),
                 *id = json_object_get(resource, "id");
    const size_t before = p->problem_count;
    const bool lost = p->lost;
    fm_status st;

    *known = false;
    p->type = p->id = NULL;
    if (!type && ((st = fm_fhir_check_keys(p, resource, keys)) || p->problem_count > before)) {
        p->lost = true;
        return st;
    }
    if ((st = check_type(p, resource, known)) || !*known)
        return st;
    p->lost = lost;
    p->type = json_string_value(type);
    if (strcmp(p->type, "OperationOutcome") == 0)
        return check_outcome(p, resource);
    if (!id)
        return FM_OK;
    if (!json_is_string(id) || !is_id(json_string_value(id), json_string_length(id))) {
        *known = false;
        p->lost = true;
        return fm_fhir_problem(p, "id", id,
                               "is no id: it must be 1 to 64 letters, digits, - and . in double "
                               "quotes");
    }
    p->id = json_string_value(id);
    return FM_OK;
}
