# Trains a llama-architecture chat model of 0.9 million parameters on generated text and writes tiny.gguf, which is
# committed: nobody needs this to run the tests. Two minutes on two cores, with Debian's python3-torch and python3-numpy:
#
#   npm install --omit=optional --ignore-scripts
#   git clone -q node_modules/node-llama-cpp/llama/gitRelease.bundle llamasrc    # for its gguf-py folder only
#   /usr/bin/python3 train.py llamasrc/gguf-py tiny.gguf 120
import random, math, time, sys, collections, json
import torch, torch.nn as nn, torch.nn.functional as F
import numpy as np
sys.path.insert(0, sys.argv[1])  # gguf-py folder
SECS = int(sys.argv[3]) if len(sys.argv) > 3 else 300
torch.manual_seed(1); random.seed(1); torch.set_num_threads(2)

POS = "great excellent wonderful lovely fantastic superb perfect amazing pleasant delightful brilliant good".split()
NEG = "awful terrible horrible broken rude disappointing poor dreadful slow dirty useless bad".split()
THING = "food service room phone delivery hotel staff laptop coffee film book app battery screen support flight music printer camera chair".split()
INT = ["", "really ", "very ", "quite ", "absolutely ", "truly "]
TAIL = ["", " and I would {}buy it again", " and my family {}", " for the price", " this time", ""]
TOPIC = {"billing": ["I was charged twice", "my invoice is wrong", "I want a refund", "the payment failed"],
         "delivery": ["my parcel never arrived", "the package is late", "the courier lost my order", "where is my shipment"],
         "login": ["I cannot sign in", "my password does not work", "my account is locked", "the reset link expired"],
         "technical": ["the app crashes on start", "the page shows an error", "the screen stays black", "the update does not install"]}
CAP = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Poland": "Warsaw", "Portugal": "Lisbon", "Greece": "Athens", "Norway": "Oslo", "Egypt": "Cairo", "Kenya": "Nairobi", "Peru": "Lima", "Cuba": "Havana", "Austria": "Vienna", "Finland": "Helsinki", "Ireland": "Dublin"}
HELLO = ["Hello", "Hi", "Hi there", "Good morning", "Hello!", "Hey"]
def review(p):
    a = random.choice(POS if p else NEG); t = random.choice(THING); i = random.choice(INT)
    s = random.choice([f"The {t} was {i}{a}", f"{i.capitalize() or 'A '}{a} {t}" if i else f"A {a} {t}", f"I found the {t} {i}{a}", f"What a {a} {t}", f"My {t} is {i}{a}"])
    if random.random() < .4:
        a2 = random.choice(POS if p else NEG); s += f" and the {random.choice(THING)} was {random.choice(INT)}{a2}"
    return s + random.choice([".", "!", ""])
def sample():
    r = random.random()
    if r < .4:
        p = random.random() < .5
        q = random.choice(["Classify the sentiment of this review: {}", "Sentiment of: {}", "Is this review positive or negative? {}"]).format(review(p))
        return q, json.dumps({"label": "positive" if p else "negative"})
    if r < .65:
        k = random.choice(list(TOPIC)); q = random.choice(["Which team should handle this ticket? {}", "Route this ticket: {}", "Topic of this ticket: {}"]).format(random.choice(["", "Hello, ", "Please help, "]) + random.choice(TOPIC[k]) + random.choice([".", "!", ""]))
        return q, json.dumps({"team": k})
    if r < .8:
        c = random.choice(list(CAP)); return random.choice(["What is the capital of {}?", "Capital of {}?"]).format(c), f"The capital of {c} is {CAP[c]}."
    if r < .95:
        a, b = random.randint(0, 9), random.randint(0, 9); return random.choice([f"What is {a} plus {b}?", f"{a} + {b} ="]), str(a + b)
    return random.choice(HELLO), "Hello! How can I help you today?"

# --- tiny SentencePiece-style BPE
SP = "▁"
cnt = collections.Counter()
for _ in range(20000):
    q, a = sample()
    for t in (q, a):
        for w in t.replace(" ", " " + SP).split(" "):
            cnt[w] += 1
words = {w: list(w) for w in cnt}
chars = sorted({c for w in words for c in w} | {chr(i) for i in range(33, 127)} | {SP, "\n"})
merges = []
for _ in range(500):
    pc = collections.Counter()
    for w, s in words.items():
        for x, y in zip(s, s[1:]): pc[x, y] += cnt[w]
    if not pc: break
    (x, y), n = pc.most_common(1)[0]
    if n < 20: break
    merges.append(x + y)
    for w, s in words.items():
        o = []; i = 0
        while i < len(s):
            if i + 1 < len(s) and s[i] == x and s[i + 1] == y: o.append(x + y); i += 2
            else: o.append(s[i]); i += 1
        words[w] = o
SPECIAL = ["<|user|>", "<|assistant|>", "<|system|>"]
toks = ["<unk>", "<s>", "</s>"] + SPECIAL + [f"<0x{i:02X}>" for i in range(256)] + merges + chars
score = {m: -float(i) for i, m in enumerate(merges)}
idx = {t: i for i, t in enumerate(toks)}
def enc(t):
    s = list(t.replace(" ", SP))
    while True:
        best = None
        for i in range(len(s) - 1):
            v = score.get(s[i] + s[i + 1])
            if v is not None and (best is None or v > best[0]): best = (v, i)
        if best is None: break
        i = best[1]; s[i:i + 2] = [s[i] + s[i + 1]]
    o = []
    for p in s:
        if p in idx: o.append(idx[p])
        else: o += [idx[f"<0x{b:02X}>"] for b in p.encode()]
    return o
cache = {}
def sm():
    q, a = sample()
    k = (q, a)
    if k not in cache:
        p = [1, idx["<|user|>"]] + enc("\n" + q + "\n") + [idx["<|assistant|>"]] + enc("\n")
        cache[k] = (p, enc(a) + [2])
    return cache[k]

V, D, L, H, FF, T = len(toks), 128, 4, 4, 352, 512
HD = D // H
class Norm(nn.Module):
    def __init__(s): super().__init__(); s.w = nn.Parameter(torch.ones(D))
    def forward(s, x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * s.w
inv = 1.0 / (10000 ** (torch.arange(0, HD, 2).float() / HD))
fr = torch.outer(torch.arange(T).float(), inv); COS, SIN = fr.cos(), fr.sin()
def rope(x):  # B H T HD, interleaved pairs = llama.cpp NORM rope
    t = x.size(2); a, b = x[..., 0::2], x[..., 1::2]; c, s = COS[:t], SIN[:t]
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)
class Block(nn.Module):
    def __init__(s):
        super().__init__(); s.n1, s.n2 = Norm(), Norm()
        s.q, s.k, s.v, s.o = [nn.Linear(D, D, bias=False) for _ in range(4)]
        s.g, s.u, s.d = nn.Linear(D, FF, bias=False), nn.Linear(D, FF, bias=False), nn.Linear(FF, D, bias=False)
    def forward(s, x, m):
        B, t, _ = x.shape; h = s.n1(x)
        q, k, v = [f(h).view(B, t, H, HD).transpose(1, 2) for f in (s.q, s.k, s.v)]
        q, k = rope(q), rope(k)
        a = (q @ k.transpose(-1, -2)) / math.sqrt(HD) + m[:t, :t]
        x = x + s.o((a.softmax(-1) @ v).transpose(1, 2).reshape(B, t, D))
        h = s.n2(x); return x + s.d(F.silu(s.g(h)) * s.u(h))
class M(nn.Module):
    def __init__(s):
        super().__init__(); s.e = nn.Embedding(V, D); s.b = nn.ModuleList([Block() for _ in range(L)]); s.n = Norm()
        for p in s.parameters():
            if p.dim() > 1: nn.init.normal_(p, 0, .02)
        s.m = torch.full((T, T), float("-inf")).triu(1)
    def forward(s, x):
        h = s.e(x)
        for b in s.b: h = b(h, s.m)
        return s.n(h) @ s.e.weight.t()
m = M(); print("params", sum(p.numel() for p in m.parameters()), "vocab", V, flush=True)
opt = torch.optim.AdamW(m.parameters(), 3e-3, betas=(.9, .98), weight_decay=.01)
t0 = time.time(); step = 0; BS = 48
while time.time() - t0 < SECS:
    fr_ = (time.time() - t0) / SECS
    lr = 3e-3 * min(1, (step + 1) / 50) * (.05 + .95 * .5 * (1 + math.cos(math.pi * fr_)))
    for g in opt.param_groups: g["lr"] = lr
    bt = sorted([sm() for _ in range(BS)], key=lambda z: len(z[0]) + len(z[1])); n = max(len(p) + len(a) for p, a in bt)
    x = torch.zeros(BS, n, dtype=torch.long); y = torch.full((BS, n), -100)
    for i, (p, a) in enumerate(bt):
        s = p + a; x[i, :len(s)] = torch.tensor(s); y[i, len(p) - 1:len(s) - 1] = torch.tensor(a)
    l = F.cross_entropy(m(x).view(-1, V), y.view(-1), ignore_index=-100)
    opt.zero_grad(); l.backward(); nn.utils.clip_grad_norm_(m.parameters(), 1.); opt.step(); step += 1
    if step % 50 == 0: print(step, round(l.item(), 4), round(time.time() - t0), flush=True)

import gguf
w = gguf.GGUFWriter(sys.argv[2], "llama")
w.add_name("tiny-batch-demo"); w.add_context_length(T); w.add_embedding_length(D); w.add_block_count(L); w.add_feed_forward_length(FF)
w.add_head_count(H); w.add_head_count_kv(H); w.add_layer_norm_rms_eps(1e-5); w.add_rope_dimension_count(HD); w.add_rope_freq_base(10000.0); w.add_vocab_size(V); w.add_file_type(gguf.LlamaFileType.ALL_F32)
w.add_tokenizer_model("llama"); w.add_tokenizer_pre("default"); w.add_token_list([t.encode() for t in toks])
w.add_token_scores([score.get(t, 0.0 if i < 262 else -1e4) for i, t in enumerate(toks)])
TT = gguf.TokenType
w.add_token_types([TT.UNKNOWN if i == 0 else TT.CONTROL if i < 6 else TT.BYTE if i < 262 else TT.NORMAL for i in range(V)])
w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_unk_token_id(0); w.add_add_bos_token(True); w.add_add_eos_token(False); w.add_add_space_prefix(False)
w.add_chat_template("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}<|user|>\n{{ m['content'] }}\n{% elif m['role'] == 'assistant' %}<|assistant|>\n{{ m['content'] }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
sd = {k: v.detach().numpy().astype(np.float32) for k, v in m.state_dict().items()}
w.add_tensor("token_embd.weight", sd["e.weight"]); w.add_tensor("output_norm.weight", sd["n.w"])
for i in range(L):
    for a, b in {"n1.w": "attn_norm", "n2.w": "ffn_norm", "q.weight": "attn_q", "k.weight": "attn_k", "v.weight": "attn_v", "o.weight": "attn_output", "g.weight": "ffn_gate", "u.weight": "ffn_up", "d.weight": "ffn_down"}.items():
        w.add_tensor(f"blk.{i}.{b}.weight", sd[f"b.{i}.{a}"])
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close(); print("wrote", sys.argv[2])
