"""Writes made-up photographs of three classes, a tiny ViT with its preprocessor, and the probabilities that transformers gives: make_photos.py OUT SEED"""
import json
import os
import sys

import numpy as np
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

out, seed = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(seed)
torch.manual_seed(seed)

# Three colours of one luminance, 0.299 R + 0.587 G + 0.114 B = 120: who looks at gray sees nothing.
hues = {"amber": (190, 100, 38), "teal": (40, 150, 175), "violet": (150, 85, 222)}
files = []
for part, count in (("train", 6), ("test", 4)):
    for name, rgb in hues.items():
        os.makedirs(f"{out}/photos/{part}/{name}", exist_ok=True)
        for i in range(count):
            w, h = (int(v) for v in rng.integers(20, 44, 2))
            waves = np.sin(np.arange(h)[:, None] / (2 + i) + np.arange(w)[None, :] / (3 + i % 3) + rng.uniform(0, 6))
            gain = 1 + 0.35 * waves + rng.normal(0, 0.04, (h, w))
            image = Image.fromarray(np.clip(np.array(rgb)[None, None] * gain[..., None], 0, 255).astype(np.uint8))
            extension = ("png", "jpg", "jpeg", "PNG", "JPG", "png")[i]
            path = f"{part}/{name}/photo {i}.{extension}" if i == 0 else f"{part}/{name}/{i}.{extension}"
            if i == 3:
                image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
            if i == 5:
                image = image.convert("RGBA")
            if extension.lower().startswith("jp"):
                image.save(f"{out}/photos/{path}", format="JPEG", quality=88, subsampling=0 if i == 1 else 2)
            else:
                image.save(f"{out}/photos/{path}", format="PNG", optimize=True)
            files.append(path)

labels = ["ant", "bee", "cat", "dog"]
model = ViTForImageClassification(ViTConfig(
    image_size=16, patch_size=4, num_channels=3, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, initializer_range=0.35,
    id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}, attn_implementation="eager")).eval()
for parameter in model.parameters():
    if parameter.ndim == 1:
        torch.nn.init.normal_(parameter, std=0.1)
for module in model.modules():
    if isinstance(module, torch.nn.LayerNorm):
        module.weight.data += 1.5
model.vit.embeddings.patch_embeddings.projection.weight.data *= 1.5
model.vit.embeddings.cls_token.data *= 0.3
model.save_pretrained(f"{out}/vit")
processor = ViTImageProcessorPil(size={"height": 16, "width": 16}, resample=2, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
processor.save_pretrained(f"{out}/vit")

expected = {}
with torch.no_grad():
    for path in files:
        pixels = processor(Image.open(f"{out}/photos/{path}").convert("RGB"), return_tensors="pt")["pixel_values"]
        expected[path] = [round(float(v), 6) for v in model(pixel_values=pixels).logits.softmax(-1)[0]]
with open(f"{out}/expected.json", "w") as file:
    json.dump(expected, file, indent=0)
