using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>How the states of a text's tokens become what a head sees.</summary>
public enum TextPooling
{
    /// <summary>Their mean.</summary>
    Mean,
    /// <summary>The last token's, which has seen the whole text where none sees those after it.</summary>
    Last,
    /// <summary>The first token's.</summary>
    First,
    /// <summary>tanh(W x + b) of the first token's, with a linear of the checkpoint: BERT's pooler, RoBERTa's classifier.dense.</summary>
    Pooler,
    /// <summary>
    /// Their mean before the last norm, and that norm of it: a token counts by the size of its state, which the norm would take away. Of decoders only.
    /// </summary>
    MeanThenNorm,
}

/// <summary>
/// A classifier of texts: tokens I32 [B, T] become states [B, T, D], these one row of features [B, D], and a head gives the scores. Texts of unequal length
/// are padded at their ends and come with their lengths (<see cref="Batch.Lengths"/>): no text sees padding, so each has the scores that it has alone.
/// <see cref="Bert"/> is one; a decoder, or the encoder of a T5, becomes one by <see cref="Over(LanguageModel, TextPooling)"/>, and its linears keep their
/// paths, so that adapters made for it fit. Trace sees "hidden.K" as in a <see cref="LanguageModel"/>, "last_hidden", and "pooled".
/// </summary>
public abstract class TextClassifier : Classifier
{
    private protected TextClassifier(Backend backend, NameMap names, string source, TextPooling pooling) : base(backend, names, source) => Pooling = pooling;

    /// <summary>How the states of a text's tokens become what the head sees.</summary>
    public TextPooling Pooling { get; private protected set; }

    /// <summary>The number of tokens, V.</summary>
    public abstract int Vocabulary { get; }

    /// <summary>The longest text that the model is made for.</summary>
    public abstract int MaxPositions { get; }

    /// <summary>The width of what the head sees.</summary>
    public abstract int FeatureSize { get; }

    /// <summary>
    /// Reads a classifier of texts, all weights frozen: bert, roberta, xlm-roberta, camembert, t5, and the families of <see cref="LanguageModel"/>. Folders of
    /// whole classifiers (BertForSequenceClassification, LlamaForSequenceClassification, …) bring their head; others have none until there is a new one.
    /// </summary>
    /// <param name="path">A folder with config.json and the weights in one file or several, or the weight file in it.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are; otherwise all is widened to F32. Head and pooler always are.</param>
    /// <param name="pooling">
    /// How states become features; if not given, what the folder's head was made for, a pooler if it has one, or the mean. A head made for another pooling is
    /// left out.
    /// </param>
    /// <exception cref="CheckpointException">A file is missing or damaged, the config asks for something that is not supported, or config and weights
    /// do not belong together.</exception>
    /// <exception cref="ArgumentException">A pooler is asked for where the file has none.</exception>
    public static TextClassifier Load(string path, Backend backend, bool keepType = true, TextPooling? pooling = null) =>
        Load(path, backend, keepType, pooling, "config.json");

    /// <summary>As <see cref="Load(string, Backend, bool, TextPooling?)"/>, by a config of another name.</summary>
    internal static TextClassifier Load(string path, Backend backend, bool keepType, TextPooling? pooling, string config)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(backend);
        using var file = new TextFile(path, backend, keepType, config) { ForClasses = true };
        if (BertConfig.Reads(file.ModelType)) return Bert.Read(file, pooling);
        if (file.ModelType != "t5") return DecoderClassifier.Read(file, pooling);
        var chosen = ClassifierFile.AfterNorm(file.Path, ClassifierFile.WithoutPooler(file.Path, pooling ?? TextPooling.Mean));    // before anything is read
        return new EncoderClassifier(T5.Read(file), chosen);
    }

    /// <summary>A classifier over a decoder, which from now on belongs to it and can still write. It has no head until there is a new one.</summary>
    /// <param name="model">The decoder.</param>
    /// <param name="pooling">The mean of its states after the last norm or before it, the last token's as transformers has it, or the first's.</param>
    /// <exception cref="ArgumentException">A decoder has no pooler.</exception>
    public static TextClassifier Over(LanguageModel model, TextPooling pooling = TextPooling.Mean)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new DecoderClassifier(model, pooling);
    }

    /// <summary>A classifier over the encoder of a T5, which from now on belongs to it. It has no head until there is a new one.</summary>
    /// <param name="model">The T5; its decoder is of no use here, and no part of the classifier.</param>
    /// <param name="pooling">The mean of its states after the last norm, the last token's or the first's.</param>
    /// <exception cref="ArgumentException">A T5 has no pooler.</exception>
    public static TextClassifier Over(T5 model, TextPooling pooling = TextPooling.Mean)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new EncoderClassifier(model, pooling);
    }

    /// <summary>
    /// Writes config.json and model.safetensors, in the family's own names, into a folder, which is made if need be. Loading gives the same classifier; where
    /// transformers has the same, it loads there.
    /// </summary>
    /// <exception cref="InvalidOperationException">An adapter is attached, there is no head, or the family's files have no place for it.</exception>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    public abstract void Save(string folder);

    /// <inheritdoc/>
    public override Tensor Features(Tensor inputs) => Features(inputs, null);

    /// <inheritdoc/>
    public override Tensor Features(Batch batch) => Features(batch.Inputs, batch.Segments, batch.Lengths);

    /// <summary>What the head sees of texts: [B, D].</summary>
    /// <param name="tokens">I32 [B, T]</param>
    /// <param name="segments">Which part of its text each token belongs to, I32 [B, T]; null where all are of the first.</param>
    /// <param name="lengths">How many tokens of each text count, those after them being padding; none at all where all do.</param>
    /// <exception cref="ArgumentException">
    /// The shapes do not fit, a text is longer than the model's positions, an id is none of the model's, or the model knows no segments.
    /// </exception>
    public Tensor Features(Tensor tokens, Tensor? segments, params ReadOnlySpan<int> lengths)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        TextRows.Check(Source, tokens, lengths);
        if (segments is not null && (segments.DType != DType.I32 || segments.Shape != tokens.Shape))
            throw new ArgumentException($"{Source}: segments {segments.DType} {segments.Shape} for tokens {tokens.Shape}; one I32 is expected for each.");
        using var scope = tokens.Workspace.Scope();
        var x = States(tokens, segments, lengths);
        var mean = Pooling is TextPooling.Mean or TextPooling.MeanThenNorm;
        var y = mean ? TextRows.Mean(x, lengths) : TextRows.One(x, lengths, last: Pooling == TextPooling.Last);
        if (Pooling == TextPooling.MeanThenNorm) y = LastNorm(y);
        if (Pooling == TextPooling.Pooler) y = Pooler!.Forward(y).Tanh();
        Trace?.Invoke("pooled", y);
        return scope.Keep(y);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor inputs) => Forward(inputs, null);

    /// <inheritdoc/>
    public override Tensor Forward(Batch batch) => Forward(batch.Inputs, batch.Segments, batch.Lengths);

    /// <summary>The scores [B, classes] of texts; the parameters are those of <see cref="Features(Tensor, Tensor?, ReadOnlySpan{int})"/>.</summary>
    /// <exception cref="ArgumentException">As there.</exception>
    /// <exception cref="InvalidOperationException">There is no head.</exception>
    public Tensor Forward(Tensor tokens, Tensor? segments, params ReadOnlySpan<int> lengths)
    {
        var head = Head ?? throw new InvalidOperationException($"{Source}: the model has no head; give it one with NewHead.");
        return head.Forward(Features(tokens, segments, lengths));
    }

    /// <summary>Whether the family's files hold the matrix at a path as [in, out].</summary>
    internal virtual bool IsTransposed(string path) => false;

    /// <summary>The norm after the last block, where pooling comes before it.</summary>
    private protected virtual Tensor LastNorm(Tensor x) => throw new NotSupportedException($"{Source}: {Pooling} is of decoders only.");

    /// <summary>
    /// The state of every token after the last block and, unless pooling comes before it, its norm: [B, T, D]; what stands at padding means nothing.
    /// </summary>
    private protected abstract Tensor States(Tensor tokens, Tensor? segments, ReadOnlySpan<int> lengths);
}
