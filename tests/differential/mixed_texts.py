"""Texts that tokenisers disagree about: code, prose, many scripts, emoji, white space, control characters, random bytes.

Everything comes from the seed, the given token texts and - only with files=True - from files that most machines have.
"""

import glob
import os
import random

# Article 1 of the Universal Declaration of Human Rights (in part), and some code.
SAMPLES = [
    "All human beings are born free and equal in dignity and rights. They're endowed with reason and conscience, and "
    "should act towards one another in a spirit of brotherhood; it's what we'd want, isn't it? I'll say: YOU'LL SEE.",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Straße, Größe, ÄÖÜ, ẞ.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。カタカナもＡＢＣ１２３も。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. ١٢٣٤٥٦٧٨٩٠",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। १२३",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ๑๒๓",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "ყველა ადამიანი იბადება თავისუფალი. Բոլոր մարդիկ ծնվում են ազատ: ሁሉም ሰዎች ነጻ ሆነው ይወለዳሉ።",
    'for (int i = 0; i < n; ++i) {\n\tif (x[i] != nullptr && *x[i] >= 0x1F) { return "a\\tb\\n"; }  // don\'t\n}\n\n\n',
    "def f(self, *args, **kwargs):\n    '''Doc.'''\n    return {k: v for k, v in kwargs.items() if v is not None}\n\n",
    "SELECT a.id, COUNT(*) FROM t_1 AS a WHERE a.x LIKE '%foo%' GROUP BY 1 HAVING COUNT(*) > 10;\r\n",
    '{"key": [1, 2.5e-10, true, null], "text": "\\u00e9\\"quoted\\""}\n<div class="a-b"><table><tr><td>1</td></tr></table>',
    "https://example.org/path/to/file.html?a=1&b=%20#frag user@example.com 2024-01-31T23:59:59Z $1,234.56 50% ±0.5µm",
    "e\u0301 o\u0308 n\u0303 a\u0323\u0302 \u1100\u1161\u11a8 \ufb01 \u017f 'ſ ' \u212a 'K \u00df ﷺ ½ ² Ⅷ ① ㊿ ௧ 𝟙𝒜 𐍈 \U0001f100",
]
EMOJI = "🙂 😀😃 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 ❤️ ☕ ✅ 🧑‍💻 1️⃣ ©®™ ♻ ⚠️ 🤦🏼‍♂️ 🫠 🪿".split(" ")
SPACES = " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff\u2581"
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»“”‘’…—–·¿¡、。「」€£"
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>", "<bos>", "<eos>", "<unk>"]
SPECIALS += ["<start_of_turn>", "<end_of_turn>", "[multimodal]", "<table>", "</strong>", "<unused1>", "<0x0A>", "<|im_", "</s>"]


class Generator:
    def __init__(self, seed, tokens=(), files=False):
        self.random = random.Random(seed)
        self.tokens = [t.replace("\u2581", " ") for t in tokens]
        self.words = [word for sample in SAMPLES for word in sample.split(" ")]
        self.files = []
        if files:
            # Prose and code; sorted, because the order that a directory gives is its own.
            paths = sorted(glob.glob("/usr/share/common-licenses/*")) + sorted(glob.glob(os.path.dirname(os.__file__) + "/*.py"))
            for path in paths:
                with open(path, "rb") as file:
                    self.files.append(file.read())
        self.makers = [
            self.sample, self.prose, self.numbers, self.emoji, self.spaces, self.code_points, self.plane_one,
            self.control_characters, self.random_bytes, self.punctuation, self.repeated, self.specials, self.spliced,
        ]  # fmt: skip
        if self.tokens:
            self.makers += [self.vocabulary, self.vocabulary]
        if self.files:
            self.makers += [self.file, self.file, self.file]

    def text(self, size):
        """About size bytes, of one to three kinds."""
        parts = []
        kinds = self.random.choices(self.makers, k=self.random.randint(1, 3))
        while sum(map(len, parts)) < size:
            part = self.random.choice(kinds)(size)
            parts.append(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
        joined = b"".join(parts)
        # Cut anywhere, also within a character.
        return joined[: max(1, self.random.randint(size // 2, size * 3 // 2))]

    def sample(self, size):
        return self.random.choice(SAMPLES) + self.random.choice(["", " ", "\n", "\n\n"])

    def prose(self, size):
        return " ".join(self.random.choices(self.words, k=8)) + self.random.choice([". ", ", ", "\n", "\r\n", "  ", "! "])

    def numbers(self, size):
        return self.random.choice(["", " ", "-", ".", ","]) + str(self.random.randrange(10 ** self.random.randint(1, 20)))

    def emoji(self, size):
        return self.random.choice(EMOJI) + self.random.choice(["", "", " ", "a"])

    def spaces(self, size):
        return self.random.choice(SPACES) * self.random.randint(1, 40) + self.random.choice(["", "", "x", " y", "7", "!"])

    def code_points(self, size):
        """A word of one stretch of the basic plane; some of it unassigned."""
        base = self.random.randrange(0x80, 0xD800 - 0x40)
        return "".join(chr(base + self.random.randrange(0x40)) for _ in range(self.random.randint(1, 8))) + " "

    def plane_one(self, size):
        return chr(self.random.choice([0x10000, 0x1F000, 0x20000, 0xE0000, 0x100000]) + self.random.randrange(0x2000))

    def control_characters(self, size):
        return "".join(chr(self.random.choice([0, self.random.randrange(0x20), 0x7F, 0x80 + self.random.randrange(0x20)])) for _ in range(3))

    def random_bytes(self, size):
        return self.random.randbytes(self.random.randint(1, 16))

    def punctuation(self, size):
        return "".join(self.random.choices(PUNCTUATION, k=self.random.randint(1, 5))) + self.random.choice(["", " ", "\n", "a"])

    def repeated(self, size):
        return self.random.choice("a e1 _-=.\n\t0你é'<\u0301") * self.random.randint(1, 100)

    def specials(self, size):
        return self.random.choice(SPECIALS)

    def spliced(self, size):
        a, b = self.random.choice(SAMPLES), self.random.choice(SAMPLES)
        return a[: self.random.randrange(len(a))] + b[self.random.randrange(len(b)) :]

    def vocabulary(self, size):
        return "".join(self.random.choices(self.tokens, k=4))

    def file(self, size):
        data = self.random.choice(self.files)
        begin = self.random.randrange(max(1, len(data) - 2000))
        return data[begin : begin + self.random.randint(100, 2000)]
