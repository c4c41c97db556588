using System.Runtime.InteropServices;
using System.Security.Cryptography;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A training of a few steps on made-up numbers that says which bits a machine computes.</summary>
public static class SmallTraining
{
    /// <summary>The hash of the trained weights and logits: 16 hexadecimal digits, the same wherever a study's cells have the same bits.</summary>
    public static string Bits(Workers? workers = null)
    {
        using var backend = (workers ?? Workers.Cores(1)).Open();
        var config = new VitConfig
        {
            ImageSize = 14, PatchSize = 7, Channels = 1, HiddenSize = 24, Layers = 2, Heads = 2, IntermediateSize = 56, Labels = ["a", "b", "c"]
        };
        using var model = Vit.Create(config, backend, seed: 7);
        model.Train();
        Trainer.Fit(model, new Noise(), new FitOptions { Steps = 4, BatchSize = 5, Seed = 3 });
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (_, parameter) in model.Parameters()) hash.AppendData(MemoryMarshal.AsBytes(parameter.Value.ToArray().AsSpan()));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    private sealed class Noise : IDataset
    {
        public string Name => "noise";

        public int Count => 9;

        public IReadOnlyList<string> Classes => ["a", "b", "c"];

        public int Label(int index) => index % 3;

        public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
        {
            const int size = 14 * 14;
            var (pixels, labels) = (new float[indices.Length * size], new int[indices.Length]);
            for (var i = 0; i < indices.Length; i++)
            {
                var numbers = new Philox(11, (ulong)indices[i]);
                for (var p = 0; p < size; p++) pixels[i * size + p] = numbers.Normal((ulong)p);
                labels[i] = Label(indices[i]);
            }
            return new(workspace.From(pixels, new Shape(indices.Length, 1, 14, 14)), workspace.From(labels, new Shape(indices.Length)));
        }
    }
}
