"""The figures of bench/jobs as Markdown, from the JSON that it writes."""


def verdict(figure, shrink):
    """Of a shrunk job only marks that do not depend on its size would hold; none is judged."""
    if figure["reached"] is None or shrink > 1:
        return ""
    return "yes" if figure["reached"] else "**no**"


def markdown(raw):
    out = ["| | |", "|---|---|", f"| model | {raw['model']} |", f"| processor | {raw['processor']}, {raw['threads']} threads |"]
    out += [f"| {name} | {program['version']}; instruction set: {program['isa']} |" for name, program in raw["programs"].items()]
    out += ["", "| job | measure | | mark | reached |", "|---|---|--:|---|---|"]
    for job in raw["jobs"]:
        for index, figure in enumerate(job["figures"]):
            name = job["name"] if index == 0 else ""
            out.append(f"| {name} | {figure['measure']} | {figure['shown']} | {figure['mark']} | {verdict(figure, raw['shrink'])} |")
    out += [""] + [f"- {job['name']}: {job['about']}" for job in raw["jobs"]]
    out.append(f"\nMedians of {raw['pairs']} runs of each, in turn; `~`: ratios of pairs differ by more than 5%, or there is one pair.")
    if raw["shrink"] > 1:
        out.append(f"\nA quick look: 1/{raw['shrink']} of the rows or of the prefix. Marks are for whole jobs.")
    if "stopped_in" in raw:
        out.append(f"\nStopped in {raw['stopped_in']}.")
    return "\n".join(out)
