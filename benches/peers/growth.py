"""How netc's time and memory grow with the batch, with the size of the image and with the depth, as a drawing."""
import json
import pathlib
import subprocess
import tempfile

WIDTH, HEIGHT, LEFT, TOP = 360, 240, 60, 40
COLORS = {"1 thread": "#b45309", "2 threads": "#1d4ed8"}


def tower(size, depth):
    """A VGG-like front: `depth` convolutions at each of three sizes of images."""
    stage = lambda filters: f"repeat({depth}) {{ Conv(3x3, {filters}, padding=1) >> Relu }} >> MaxPool(2x2)"
    return f"Input({size}x{size}x3) >> " + " >> ".join(stage(filters) for filters in (32, 64, 128)) + " >> GlobalPool(avg) >> Softmax(10)"


SERIES = [
    ("batch", "images at a time, 112x112", [1, 2, 4, 8, 16, 32, 64], lambda n: (tower(112, 2), n)),
    ("input", "pixels along an edge, one image", [64, 96, 128, 192, 256, 384, 512], lambda n: (tower(n, 2), 1)),
    ("depth", "convolutions, one image of 112x112", [3, 6, 12, 24, 48, 96], lambda n: (tower(112, n // 3), 1)),
]


def measured(args, spec, batch, threads, folder):
    """The median in milliseconds and the private memory in MB."""
    artifact = folder / "net.netb"
    subprocess.run([args.netc, "build", spec, "--allow-untrained", "-o", artifact], check=True, stderr=subprocess.DEVNULL)
    command = [args.netc, "bench", artifact, "--batch", str(batch), "--threads", str(threads), "--runs", "9", "--format", "json"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return told["batches"][0]["median_ms"], told["process"]["private_bytes"] / 2**20


def draw(args):
    panels = []
    with tempfile.TemporaryDirectory() as name:
        for title, axis, sizes, case in SERIES:
            lines = {}
            for threads in (1, 2):
                points = [(size, *measured(args, *case(size), threads, pathlib.Path(name))) for size in sizes]
                lines[f"{threads} thread{'s' * (threads > 1)}"] = points
                print(title, threads, " ".join(f"{size}: {ms:.2f} ms {mb:.0f} MB" for size, ms, mb in points), flush=True)
            panels.append((title, axis, lines))
    args.growth.write_text(svg(panels))
    return 0


def svg(panels):
    width, height = LEFT + len(panels) * (WIDTH + LEFT), 2 * (HEIGHT + TOP + 40)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for column, (title, axis, lines) in enumerate(panels):
        for row, (unit, which) in enumerate((("ms", 1), ("MB private", 2))):
            x, y = LEFT + column * (WIDTH + LEFT), TOP + row * (HEIGHT + TOP + 40)
            parts.append(panel(x, y, f"{title}: {unit}", axis, {name: [(p[0], p[which]) for p in points] for name, points in lines.items()}))
    return "\n".join(parts + ["</svg>", ""])


def panel(x, y, title, axis, lines):
    """One diagram, both axes from nothing, so that what grows in proportion is a straight line."""
    most_x = max(point[0] for points in lines.values() for point in points)
    most_y = max(point[1] for points in lines.values() for point in points) or 1
    place = lambda point: (x + WIDTH * point[0] / most_x, y + HEIGHT * (1 - point[1] / most_y))
    parts = [f'<text x="{x}" y="{y - 10}" font-weight="bold">{title}</text>',
             f'<path d="M{x} {y}V{y + HEIGHT}H{x + WIDTH}" fill="none" stroke="#444"/>',
             f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT + 32}" text-anchor="middle">{axis}</text>']
    for quarter in range(5):
        value = most_y * quarter / 4
        level = y + HEIGHT * (1 - quarter / 4)
        parts.append(f'<path d="M{x} {level}H{x + WIDTH}" stroke="#ddd"/><text x="{x - 4}" y="{level + 4}" text-anchor="end">{value:.3g}</text>')
    for size in sorted({point[0] for points in lines.values() for point in points}):
        if size > most_x / 12 or size == most_x:
            parts.append(f'<text x="{x + WIDTH * size / most_x}" y="{y + HEIGHT + 16}" text-anchor="middle">{size}</text>')
    for index, (name, points) in enumerate(lines.items()):
        color = COLORS.get(name, "#444")
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{color}"/>' for a, b in map(place, points)]
        parts.append(f'<text x="{x + 10}" y="{y + 16 + 16 * index}" fill="{color}">{name}</text>')
    return "\n".join(parts)
