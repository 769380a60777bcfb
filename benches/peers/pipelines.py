"""From JPEG files to predictions, as people write it in Python; under the kit's:

  pipelines.py torch|torch-io|opencv KIT MODEL PHOTOS.json BATCH THREADS

`torch` reads photos by Pillow in the processes of a DataLoader, `torch-io` by torchvision's decoder; `opencv` decodes and runs ONNX
Runtime in each of its threads, a batch at a time. MODEL is the path of the network's files, without their endings.
"""
import json
import pathlib
import sys

import numpy

from serving import serve

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RESIZED, SIZE = 256, 224


def torch_loader(kit, model, files, batch, threads, decoder):
    sys.path.insert(0, kit)
    import bench_peers
    import torch
    from PIL import Image
    from torchvision import io, transforms
    from torchvision.transforms import v2
    torch.set_num_threads(threads)
    net = bench_peers.torch_model(pathlib.Path(model)).to(memory_format=torch.channels_last)
    middle = [v2.Resize(RESIZED, antialias=True), v2.CenterCrop(SIZE)]
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]
    if decoder == "torch-io":
        change = transforms.Compose(middle + last)
        photo = lambda file: change(io.decode_jpeg(io.read_file(file), mode=io.ImageReadMode.RGB))
    else:
        change = transforms.Compose([*middle, v2.PILToTensor(), *last])
        photo = lambda file: change(Image.open(file).convert("RGB"))

    class Photos(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return photo(files[index])
    loader = torch.utils.data.DataLoader(Photos(), batch_size=batch, num_workers=threads, persistent_workers=True)

    def run():
        with torch.inference_mode():
            return [net(x.to(memory_format=torch.channels_last)).numpy() for x in loader]
    return run


def opencv(kit, model, files, batch, threads):
    import concurrent.futures

    import cv2
    import onnxruntime
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(f"{model}.onnx", options, providers=["CPUExecutionProvider"])
    scale, shift = numpy.float32(1 / (255 * numpy.array(DEVIATION))), numpy.float32(numpy.array(MEAN) / DEVIATION)

    def photo(file):
        image = cv2.imread(file)
        height, width = image.shape[:2]
        shorter = min(height, width)
        image = cv2.resize(image, (width * RESIZED // shorter, height * RESIZED // shorter), interpolation=cv2.INTER_AREA)
        top, left = ((side - SIZE) // 2 for side in image.shape[:2])
        pixels = cv2.cvtColor(image[top:top + SIZE, left:left + SIZE], cv2.COLOR_BGR2RGB)
        return (pixels * scale - shift).transpose(2, 0, 1)
    batches = [files[at:at + batch] for at in range(0, len(files), batch)]
    threads = concurrent.futures.ThreadPoolExecutor(threads)

    def predicted(names):
        return session.run(None, {"input": numpy.stack([photo(name) for name in names])})[0]
    return lambda: list(threads.map(predicted, batches))


def main():
    name, kit, model, listed, batch, threads = sys.argv[1:]
    files = json.loads(pathlib.Path(listed).read_text())
    load = opencv if name == "opencv" else lambda *task: torch_loader(*task, name)
    serve(lambda: load(kit, model, files, int(batch), int(threads)))


if __name__ == "__main__":
    main()
