using NanoLora;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

// Composes the bundled modules for the demo's first 5-shot draw, trains the mixture for a few steps, writes it as an ordinary PEFT adapter, reads that back
// into a fresh base, and classifies the draw's test images. It prints the same count of right answers whether the JIT runs it or it was compiled ahead of time.

const string models = "models/nano-vit", adapter = "my-adapter";
using var backend = new CpuBackend();
Console.WriteLine(backend.Description);

using var bundled = Vit.Load(models, backend);
var draw = FewShot.Draw(TaskFile.Read("models/tasks/balinese.safetensors"), shots: 5, seed: 1, draw: 0);
var pixels = new Normalisation(bundled.Config.ImageMean, bundled.Config.ImageStd);
var support = draw.Support.Normalised(pixels);
var test = draw.Test.Normalised(pixels);

// Learned composition, a few steps: the tape and the optimiser run, and the loss falls.
var modules = Lora.LoadAll($"{models}/modules", bundled);
var learned = Compose.Learned(bundled, modules);
var steps = Trainer.Fit(bundled, support, new FitOptions { Steps = 5, BatchSize = support.Count }).Steps;
Console.WriteLine(FormattableString.Invariant($"loss {steps[0].Loss:0.000} -> {steps[^1].Loss:0.000}"));
if (!(steps[^1].Loss < steps[0].Loss)) return Fail("the loss did not fall");
learned.Detach();

// Uniform composition with the class means of its features as head.
var mix = Compose.Uniform(bundled, modules);
Heads.NearestMean(bundled, support);
mix.Export(adapter);
var before = bundled.Correct(test);

using var vit = Vit.Load(models, backend);
Attach.Load(vit, adapter);
var correct = vit.Correct(test);
Console.WriteLine($"correct {correct} of {test.Count}");
return correct == before ? 0 : Fail($"the adapter classifies {correct} images as it should, the mixture that it was written from {before}");

static int Fail(string message)
{
    Console.Error.WriteLine(message);
    return 1;
}
