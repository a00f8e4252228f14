"""The optimum of a job: prompt tokens that have to be computed where whole pages of equal beginnings are computed once.

Counted here from the rows alone, independent of what the program says of itself.
"""

PAGE = 64


def distinct_pages(prompts):
    """Pages that at least one prompt begins with and that others can take from it. The last token of a prompt is always
    computed, for its logits: a page that it stands in is the row's own."""
    return {tuple(prompt[:end]) for prompt in prompts for end in range(PAGE, len(prompt), PAGE)}


def own_tokens(prompt):
    """Tokens behind the last page that others could take, at least one."""
    return (len(prompt) - 1) % PAGE + 1


def distinct_tokens(prompts):
    return PAGE * len(distinct_pages(prompts)) + sum(map(own_tokens, prompts))


def pages_of_all(prompts, answer_tokens):
    """Pages in which the whole job would find room at once: of every beginning, and for each row of its own tokens and
    of all its answer but the last token, which nothing follows."""
    own = sum(-(-(own_tokens(prompt) + answer_tokens - 1) // PAGE) for prompt in prompts)
    return len(distinct_pages(prompts)) + own


def saved_share(total, computed, optimum):
    """What was saved of what sharing can save; 1 where that is nothing and nothing was computed twice."""
    return (total - computed) / (total - optimum) if total > optimum else float(computed <= total)
