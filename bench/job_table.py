"""The figures of bench/jobs as Markdown, from the JSON that it writes."""


FORECAST_MARKS = """`said / real`; of ranges, four in five are to hold the truth. `*`: answers end freely. Bold misses its mark: seconds within 10%, with `*` in
the range; time left after 5% of the rows within 10% (`-`: less than a second was left, or nothing was said); peak memory within 3%; the
cost model's median error under 5%; rows paused under 1% where no `--kv-memory` was given."""


def verdict(figure, shrink):
    """Of a shrunk job only marks that do not depend on its size would hold; none is judged."""
    if figure["reached"] is None or shrink > 1:
        return ""
    return "yes" if figure["reached"] else "**no**"


def head(raw):
    out = ["| | |", "|---|---|", f"| model | {raw['model']} |", f"| processor | {raw['processor']}, {raw['threads']} threads |"]
    return out + [f"| {name} | {program['version']}; instruction set: {program['isa']} |"
                  for name, program in raw["programs"].items()] + [""]


def forecast(raw):
    """A job a line; bold is what misses its mark."""
    out = head(raw)
    for job in raw["forecasts"]:
        if job is raw["forecasts"][0]:
            out += ["| job | " + " | ".join(figure["measure"] for figure in job["figures"]) + " |", "|---|" + "--:|" * len(job["figures"])]
        cells = [f"**{figure['shown']}**" if figure["reached"] is False else figure["shown"] for figure in job["figures"]]
        out.append(f"| {job['name']}{' *' if job['ends_freely'] else ''} | " + " | ".join(cells) + " |")
    return "\n".join(out + ["", FORECAST_MARKS])


def markdown(raw):
    out = head(raw) + ["| job | measure | | mark | reached |", "|---|---|--:|---|---|"]
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
