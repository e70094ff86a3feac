"""`predict.py`, the script in every export."""

PREDICT = '''"""Usage: python predict.py IMAGE...   Needs torch, numpy and Pillow."""
import json, sys
from pathlib import Path
import numpy as np, torch
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
here = Path(__file__).parent
how = json.loads((here / "preprocess.json").read_text())
if how["preprocess"] not in ("rgb", "gray") or how["test_scale"] != 1:
    sys.exit("this network needs another pre-processing: use `raysweep predict`")
network = torch.export.load(here / "model.pt2").module()
for path in sys.argv[1:]:
    image = ImageOps.exif_transpose(Image.open(path, formats=FORMATS)).convert("RGB")
    factor = how["short_side"] / min(image.size)
    image = image.resize([max(how["short_side"], round(length * factor)) for length in image.size], Image.BICUBIC)
    left, top = ((length - how["side"]) // 2 for length in image.size)
    image = image.crop((left, top, left + how["side"], top + how["side"]))
    pixels = np.asarray(image if how["preprocess"] == "rgb" else image.convert("L"), np.float32)
    pixels = torch.from_numpy(pixels.reshape(1, how["side"], how["side"], -1)).permute(0, 3, 1, 2).contiguous()
    share = network(pixels).softmax(1)[0]
    best = int(share.argmax())
    print(f"{path}\\t{how['classes'][best]}\\t{share[best]:.3f}")
'''
