# vanishing: from a config to a paper. `make study` runs this, so does `snakemake`.
#   snakemake --config study=smoke      a name in workflow/config/, or the path of your own YAML


# Light enough for the head's own machine, where the others are jobs of a cluster.
localrules:
    plan,
    notebook,
    rulegraph,
    paper,
    bundle,
    figures,
    technical,


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    """The paper, as HTML and PDF, and a bundle of it with all that it rests on."""
    default_target: True
    input:
        f"{RESULTS}/report/paper.html",
        f"{RESULTS}/report/paper.pdf",
        f"{RESULTS}/report/bundle.zip",


rule technical:
    """All that Snakemake's own report shows: `make report` asks for it."""
    input:
        rules.all.input,
        rules.figures.output,
