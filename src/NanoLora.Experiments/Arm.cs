using System.Globalization;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>What an arm trains beside its head.</summary>
public enum ArmMethod
{
    /// <summary>A head on raw pixels.</summary>
    PixelProbe,

    /// <summary>A head on the frozen base.</summary>
    LinearProbe,

    /// <summary>All weights.</summary>
    FullFinetune,

    /// <summary>A new LoRA.</summary>
    Lora,

    /// <summary>Nothing: the modules are mixed with equal weights.</summary>
    Uniform,

    /// <summary>The mixing weights.</summary>
    Learned,

    /// <summary>Nothing: each module alone, and the best of them on the test samples, which nobody would know beforehand.</summary>
    BestModule,

    /// <summary>A head on bags of words, tf-idf.</summary>
    BagOfWords,

    /// <summary>Nothing at all: the base answers in words as it is.</summary>
    Base,
}

/// <summary>One way to learn a task from a few samples. Every arm has the same head.</summary>
/// <param name="Name">As in the cells.</param>
/// <param name="Method">What it trains.</param>
public sealed record Arm(string Name, ArmMethod Method)
{
    /// <summary>What it is called in prose.</summary>
    public string Label { get; init; } = ArmNames.Label(Name);

    /// <summary>The sum of a mix's weights: scale / N each, or scale · softmax(v).</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Whether a learned mix also learns its scale, one per matrix.</summary>
    public bool FreeScale { get; init; }

    /// <summary>Which matrices of a learned mix share one v.</summary>
    public Sharing Sharing { get; init; } = Sharing.Matrix;

    /// <summary>Mix random modules of the same ranks and norms instead of the upstream ones: the control.</summary>
    public bool RandomModules { get; init; }

    /// <summary>Full fine-tuning or a new LoRA start from the base with the uniform mix in its weights.</summary>
    public bool FromUniform { get; init; }

    /// <summary>The rates of what it trains beside its head; the protocol's if not given.</summary>
    public ShotRates? Rates { get; init; }

    /// <summary>Whether no model has a part in it: a head on the samples as they are.</summary>
    public bool IsRaw => Method is ArmMethod.PixelProbe or ArmMethod.BagOfWords;

    /// <summary>Whether upstream modules have a part in it.</summary>
    public bool UsesModules => FromUniform || Method is ArmMethod.Uniform or ArmMethod.Learned or ArmMethod.BestModule;

    /// <summary>Whether anything trains beside the head.</summary>
    public bool TrainsBelowHead => Method is ArmMethod.FullFinetune or ArmMethod.Lora or ArmMethod.Learned;

    /// <summary>What it does, in a few words.</summary>
    public string Doing => Method switch
    {
        ArmMethod.PixelProbe => "a head on raw pixels",
        ArmMethod.BagOfWords => "a head on bags of words, tf-idf",
        ArmMethod.LinearProbe => "a head on the frozen base",
        ArmMethod.Base => "nothing is trained",
        ArmMethod.FullFinetune => FromUniform ? "all weights, from base + uniform mix" : "all weights",
        ArmMethod.Lora => FromUniform ? "a new LoRA, on base + uniform mix" : "a new LoRA",
        ArmMethod.Uniform => string.Create(CultureInfo.InvariantCulture, $"{Mixed}, weights {Scale} / N"),
        ArmMethod.BestModule => "each module alone, the best of them on the test samples",
        _ => string.Create(CultureInfo.InvariantCulture, $"{Mixed}, weights {Factor}softmax(v), one v {PerWhat}"),
    };

    /// <summary>The arms of the demo on images.</summary>
    public static IReadOnlyList<Arm> OfTheDemo { get; } =
    [
        new(ArmNames.PixelProbe, ArmMethod.PixelProbe), new(ArmNames.LinearProbe, ArmMethod.LinearProbe), new(ArmNames.FullFinetune, ArmMethod.FullFinetune),
        new(ArmNames.Lora, ArmMethod.Lora), new(ArmNames.Uniform, ArmMethod.Uniform), new(ArmNames.Learned, ArmMethod.Learned),
        new(ArmNames.RandomModules, ArmMethod.Learned) { RandomModules = true },
    ];

    /// <summary>The arms of the demo on texts.</summary>
    public static IReadOnlyList<Arm> OfTheTextDemo { get; } = [new(ArmNames.BagOfWords, ArmMethod.BagOfWords), .. OfTheDemo.Where(static arm => !arm.IsRaw)];

    /// <summary>All arms that have a name of their own: those of the demo, then variants of them.</summary>
    public static IReadOnlyList<Arm> Known { get; } =
    [
        .. OfTheDemo, OfTheTextDemo[0], new(ArmNames.Base, ArmMethod.Base),
        new("uniform-half", ArmMethod.Uniform) { Label = "uniform × 0.5", Scale = 0.5f },
        new("uniform-double", ArmMethod.Uniform) { Label = "uniform × 2", Scale = 2 },
        new("learned-free-scale", ArmMethod.Learned) { Label = "learned, free scale", FreeScale = true },
        new("learned-block", ArmMethod.Learned) { Label = "learned, one v per block", Sharing = Sharing.Block },
        new("learned-global", ArmMethod.Learned) { Label = "learned, one v", Sharing = Sharing.Model },
        new("best-module", ArmMethod.BestModule) { Label = "best single module (oracle)" },
        new("lora-from-uniform", ArmMethod.Lora) { Label = "LoRA from the uniform mix", FromUniform = true },
        new("full-from-uniform", ArmMethod.FullFinetune) { Label = "full fine-tuning from the uniform mix", FromUniform = true },
    ];

    private string Mixed => RandomModules ? "random modules of the same norms" : "the modules";

    private string Factor => FreeScale ? "β · " : Scale == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"{Scale} · ");

    private string PerWhat => Sharing switch { Sharing.Matrix => "per matrix", Sharing.Block => "per block", _ => "in all" };
}
